// The passes of a Fourier transform, included once for floats and once for doubles (REAL, NAME).
//
// Stockham's way: each pass takes one factor off the length and leaves its results in order. Several transforms run side by side as
// lanes: number i of lane l lies at i * lanes + l, real and imaginary parts apart, so that the innermost loop is always a plain vector
// loop over `s` neighbours.
//
// Source: Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992, sections 1.7 and 4.2.


KEEL_CLONES static void NAME(pass2)(int64_t n, int64_t s, const REAL *roots, int64_t step, const REAL *restrict xr, const REAL *restrict xi,
                                    REAL *restrict yr, REAL *restrict yi) {
    const int64_t m = n / 2;
    for (int64_t k = 0; k < m; k++) {
        const REAL wr = roots[2 * k * step], wi = roots[2 * k * step + 1];
        const int64_t a = k * s, b = (k + m) * s, y0 = 2 * k * s, y1 = y0 + s;
        for (int64_t q = 0; q < s; q++) {
            const REAL dr = xr[a + q] - xr[b + q], di = xi[a + q] - xi[b + q];
            yr[y0 + q] = xr[a + q] + xr[b + q];
            yi[y0 + q] = xi[a + q] + xi[b + q];
            yr[y1 + q] = dr * wr - di * wi;
            yi[y1 + q] = dr * wi + di * wr;
        }
    }
}

KEEL_CLONES static void NAME(pass3)(int64_t n, int64_t s, const REAL *roots, int64_t step, const REAL *restrict xr, const REAL *restrict xi,
                                    REAL *restrict yr, REAL *restrict yi) {
    const int64_t m = n / 3;
    const REAL sine = (REAL)0.86602540378443864676;
    for (int64_t k = 0; k < m; k++) {
        const REAL w1r = roots[2 * k * step], w1i = roots[2 * k * step + 1], w2r = roots[4 * k * step], w2i = roots[4 * k * step + 1];
        const int64_t a = k * s, b = (k + m) * s, c = (k + 2 * m) * s, y0 = 3 * k * s, y1 = y0 + s, y2 = y1 + s;
        for (int64_t q = 0; q < s; q++) {
            const REAL tr = xr[b + q] + xr[c + q], ti = xi[b + q] + xi[c + q];
            const REAL ur = sine * (xi[b + q] - xi[c + q]), ui = -sine * (xr[b + q] - xr[c + q]);
            const REAL mr = xr[a + q] - (REAL)0.5 * tr, mi = xi[a + q] - (REAL)0.5 * ti;
            yr[y0 + q] = xr[a + q] + tr;
            yi[y0 + q] = xi[a + q] + ti;
            yr[y1 + q] = (mr + ur) * w1r - (mi + ui) * w1i;
            yi[y1 + q] = (mr + ur) * w1i + (mi + ui) * w1r;
            yr[y2 + q] = (mr - ur) * w2r - (mi - ui) * w2i;
            yi[y2 + q] = (mr - ur) * w2i + (mi - ui) * w2r;
        }
    }
}

KEEL_CLONES static void NAME(pass4)(int64_t n, int64_t s, const REAL *roots, int64_t step, const REAL *restrict xr, const REAL *restrict xi,
                                    REAL *restrict yr, REAL *restrict yi) {
    const int64_t m = n / 4;
    for (int64_t k = 0; k < m; k++) {
        const REAL w1r = roots[2 * k * step], w1i = roots[2 * k * step + 1], w2r = roots[4 * k * step], w2i = roots[4 * k * step + 1];
        const REAL w3r = roots[6 * k * step], w3i = roots[6 * k * step + 1];
        const int64_t a = k * s, b = (k + m) * s, c = (k + 2 * m) * s, d = (k + 3 * m) * s;
        const int64_t y0 = 4 * k * s, y1 = y0 + s, y2 = y1 + s, y3 = y2 + s;
        for (int64_t q = 0; q < s; q++) {
            const REAL t0r = xr[a + q] + xr[c + q], t0i = xi[a + q] + xi[c + q], t1r = xr[a + q] - xr[c + q], t1i = xi[a + q] - xi[c + q];
            const REAL t2r = xr[b + q] + xr[d + q], t2i = xi[b + q] + xi[d + q], t3r = xi[b + q] - xi[d + q], t3i = xr[d + q] - xr[b + q];
            const REAL ar = t1r + t3r, ai = t1i + t3i, br = t0r - t2r, bi = t0i - t2i, cr = t1r - t3r, ci = t1i - t3i;
            yr[y0 + q] = t0r + t2r;
            yi[y0 + q] = t0i + t2i;
            yr[y1 + q] = ar * w1r - ai * w1i;
            yi[y1 + q] = ar * w1i + ai * w1r;
            yr[y2 + q] = br * w2r - bi * w2i;
            yi[y2 + q] = br * w2i + bi * w2r;
            yr[y3 + q] = cr * w3r - ci * w3i;
            yi[y3 + q] = cr * w3i + ci * w3r;
        }
    }
}

/// Any other factor p, by p² products.
KEEL_CLONES static void NAME(pass)(int64_t p, int64_t n, int64_t s, const REAL *roots, int64_t step, int64_t all, const REAL *restrict xr,
                                   const REAL *restrict xi, REAL *restrict yr, REAL *restrict yi) {
    const int64_t m = n / p;
    for (int64_t k = 0; k < m; k++)
        for (int64_t r = 0; r < p; r++) {
            REAL *restrict outr = yr + (p * k + r) * s, *restrict outi = yi + (p * k + r) * s;
            for (int64_t q = 0; q < s; q++) outr[q] = outi[q] = 0;
            for (int64_t j = 0; j < p; j++) {
                // The root of the small transform times the twiddle: r k / n + r j / p of a turn.
                const int64_t turn = (r * k * step + r * j % p * (all / p)) % all;
                const REAL wr = roots[2 * turn], wi = roots[2 * turn + 1];
                const REAL *restrict inr = xr + (k + j * m) * s, *restrict ini = xi + (k + j * m) * s;
                for (int64_t q = 0; q < s; q++) {
                    outr[q] += inr[q] * wr - ini[q] * wi;
                    outi[q] += inr[q] * wi + ini[q] * wr;
                }
            }
        }
}

/// A buffer of lanes: real and imaginary parts.
typedef struct {
    REAL *r, *i;
} NAME(lanes);

/// Transforms `a`, using `b`, by the factors of m; tells where the result is.
static NAME(lanes) NAME(smooth)(const keel_fft_plan *plan, int64_t lanes, NAME(lanes) a, NAME(lanes) b) {
    int64_t n = plan->m, s = lanes, step = 1;
    for (int32_t f = 0; f < plan->count; f++) {
        const int64_t p = plan->factors[f];
        switch (p) {
        case 2: NAME(pass2)(n, s, plan->roots, step, a.r, a.i, b.r, b.i); break;
        case 3: NAME(pass3)(n, s, plan->roots, step, a.r, a.i, b.r, b.i); break;
        case 4: NAME(pass4)(n, s, plan->roots, step, a.r, a.i, b.r, b.i); break;
        default: NAME(pass)(p, n, s, plan->roots, step, plan->m, a.r, a.i, b.r, b.i); break;
        }
        const NAME(lanes) swap = a;
        a = b;
        b = swap;
        n /= p;
        s *= p;
        step *= p;
    }
    return a;
}

/// x *= w, one complex factor for each `lanes` neighbours.
KEEL_CLONES static void NAME(weigh)(int64_t n, int64_t lanes, const REAL *w, REAL *restrict xr, REAL *restrict xi) {
    for (int64_t k = 0; k < n; k++)
        for (int64_t q = k * lanes; q < (k + 1) * lanes; q++) {
            const REAL r = xr[q] * w[2 * k] - xi[q] * w[2 * k + 1];
            xi[q] = xr[q] * w[2 * k + 1] + xi[q] * w[2 * k];
            xr[q] = r;
        }
}

/// Transforms `a`, forwards, using `b`. The inverse is the same with real and imaginary parts swapped before and after.
static NAME(lanes) NAME(transform)(const keel_fft_plan *plan, int64_t lanes, NAME(lanes) a, NAME(lanes) b) {
    if (!plan->chirp) return NAME(smooth)(plan, lanes, a, b);
    NAME(weigh)(plan->n, lanes, plan->chirp, a.r, a.i);
    memset(a.r + plan->n * lanes, 0, (size_t)((plan->m - plan->n) * lanes) * sizeof(REAL));
    memset(a.i + plan->n * lanes, 0, (size_t)((plan->m - plan->n) * lanes) * sizeof(REAL));
    NAME(lanes) found = NAME(smooth)(plan, lanes, a, b);
    const NAME(lanes) other = found.r == a.r ? b : a;
    NAME(weigh)(plan->m, lanes, plan->spectrum, found.r, found.i);
    const NAME(lanes) turned = {found.i, found.r}, room = {other.i, other.r};
    found = NAME(smooth)(plan, lanes, turned, room);
    const NAME(lanes) back = {found.i, found.r};
    NAME(weigh)(plan->n, lanes, plan->chirp, back.r, back.i);
    return back;
}

/// One part of the work: groups of `lanes` rows each.
static void NAME(part)(const fft_job *j, int64_t part) {
    const int64_t lanes = j->lanes, size = j->plan->m * lanes, n = j->n, half = n / 2, inner = j->inner, rows = j->rows;
    REAL *scratch = (REAL *)j->scratch + part * 4 * size;
    const NAME(lanes) a = {scratch, scratch + size}, b = {scratch + 2 * size, scratch + 3 * size};
    const REAL scale = (REAL)j->scale, *twist = j->plan->twist;
    for (int64_t group = j->groups * part / j->parts; group < j->groups * (part + 1) / j->parts; group++) {
        const int64_t first = group * lanes, here = rows - first < lanes ? rows - first : lanes;
        if (here < lanes) memset(scratch, 0, (size_t)(2 * size) * sizeof(REAL));
        for (int64_t l = 0; l < here; l++) {
            const int64_t o = (first + l) / inner, c = (first + l) % inner;
            if (j->kind == FFT_REAL) {
                const REAL *x = (const REAL *)j->x + o * n * inner + c;
                if (n % 2 == 0) {
                    for (int64_t i = 0; i < half; i++) {
                        a.r[i * lanes + l] = x[2 * i * inner];
                        a.i[i * lanes + l] = x[(2 * i + 1) * inner];
                    }
                } else {
                    for (int64_t i = 0; i < n; i++) {
                        a.r[i * lanes + l] = x[i * inner];
                        a.i[i * lanes + l] = 0;
                    }
                }
            } else if (j->kind == FFT_COMPLEX) {
                const REAL *x = (const REAL *)j->x + 2 * (o * n * inner + c);
                REAL *restrict r = j->inverse ? a.i : a.r, *restrict m = j->inverse ? a.r : a.i;
                for (int64_t i = 0; i < n; i++) {
                    r[i * lanes + l] = x[2 * i * inner];
                    m[i * lanes + l] = x[2 * i * inner + 1];
                }
            } else {
                // Inverse, so real parts go to `a.i` and imaginary ones to `a.r`.
                const REAL *x = (const REAL *)j->x + 2 * (o * (half + 1) * inner + c);
                if (n % 2 == 0) {
                    for (int64_t k = 0; k < half; k++) {
                        const REAL *p = x + 2 * k * inner, *q = x + 2 * (half - k) * inner;
                        const REAL pi = k == 0 ? 0 : p[1], qi = k == 0 ? 0 : q[1];
                        const REAL er = p[0] + q[0], ei = pi - qi, dr = p[0] - q[0], di = pi + qi;
                        const REAL wr = twist[2 * k], wi = -twist[2 * k + 1];
                        const REAL or = dr * wr - di * wi, oi = dr * wi + di * wr;
                        a.i[k * lanes + l] = er - oi;
                        a.r[k * lanes + l] = ei + or ;
                    }
                } else {
                    a.i[l] = x[0];
                    a.r[l] = 0;
                    for (int64_t k = 1; k <= half; k++) {
                        const REAL *p = x + 2 * k * inner;
                        a.i[k * lanes + l] = a.i[(n - k) * lanes + l] = p[0];
                        a.r[k * lanes + l] = p[1];
                        a.r[(n - k) * lanes + l] = -p[1];
                    }
                }
            }
        }
        const NAME(lanes) found = NAME(transform)(j->plan, lanes, a, b);
        for (int64_t l = 0; l < here; l++) {
            const int64_t o = (first + l) / inner, c = (first + l) % inner;
            if (j->kind == FFT_REAL) {
                REAL *y = (REAL *)j->y + 2 * (o * (half + 1) * inner + c);
                for (int64_t k = 0; k <= half; k++) {
                    REAL r = 0, m = 0;
                    if (n % 2 == 0) {
                        const int64_t p = (k == half ? 0 : k) * lanes + l, q = (k == 0 ? 0 : half - k) * lanes + l;
                        const REAL er = found.r[p] + found.r[q], ei = found.i[p] - found.i[q];
                        const REAL or = found.i[p] + found.i[q], oi = found.r[q] - found.r[p];
                        r = (REAL)0.5 * (er + or * twist[2 * k] - oi * twist[2 * k + 1]);
                        m = (REAL)0.5 * (ei + or * twist[2 * k + 1] + oi * twist[2 * k]);
                    } else {
                        r = found.r[k * lanes + l];
                        m = found.i[k * lanes + l];
                    }
                    y[2 * k * inner] = scale * r;
                    y[2 * k * inner + 1] = scale * m;
                }
            } else if (j->kind == FFT_COMPLEX) {
                REAL *y = (REAL *)j->y + 2 * (o * n * inner + c);
                const REAL *restrict r = j->inverse ? found.i : found.r, *restrict m = j->inverse ? found.r : found.i;
                for (int64_t k = 0; k < n; k++) {
                    y[2 * k * inner] = scale * r[k * lanes + l];
                    y[2 * k * inner + 1] = scale * m[k * lanes + l];
                }
            } else {
                REAL *y = (REAL *)j->y + o * n * inner + c;
                if (n % 2 == 0) {
                    for (int64_t i = 0; i < half; i++) {
                        y[2 * i * inner] = scale * found.i[i * lanes + l];
                        y[(2 * i + 1) * inner] = scale * found.r[i * lanes + l];
                    }
                } else {
                    for (int64_t i = 0; i < n; i++) y[i * inner] = scale * found.i[i * lanes + l];
                }
            }
        }
    }
}

static void NAME(parts)(void *context, int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; part++) NAME(part)(context, part);
}

static void NAME(overlap)(void *context, int64_t begin, int64_t end) {
    const overlap_job *j = context;
    for (int64_t row = begin; row < end; row++) {
        REAL *restrict y = (REAL *)j->y + row * j->count;
        memset(y, 0, (size_t)j->count * sizeof(REAL));
        for (int64_t f = 0; f < j->frames; f++) {
            const REAL *restrict x = (const REAL *)j->x + (row * j->frames + f) * j->length;
            for (int64_t i = 0; i < j->length; i++) y[f * j->hop + i] += x[i];
        }
    }
}

