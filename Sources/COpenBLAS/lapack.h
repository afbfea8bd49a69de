// The routines of LAPACK that Keel calls; OpenBLAS holds them, but its headers don't declare them. Matrices lie column by column, every
// argument is a pointer, and after the last one come the lengths of the texts, as gfortran passes them.
#ifndef KEEL_LAPACK_H
#define KEEL_LAPACK_H

#include <stddef.h>

#define KEEL_LAPACK(p, number)                                                                                         \
    void p##potrf_(const char *uplo, const int *n, number *a, const int *lda, int *info, size_t);                      \
    void p##getrf_(const int *m, const int *n, number *a, const int *lda, int *pivots, int *info);                     \
    void p##gelqf_(const int *m, const int *n, number *a, const int *lda, number *tau, number *work, const int *lwork, \
                   int *info);                                                                                         \
    void p##orglq_(const int *m, const int *n, const int *k, number *a, const int *lda, const number *tau,             \
                   number *work, const int *lwork, int *info);                                                         \
    void p##gesdd_(const char *job, const int *m, const int *n, number *a, const int *lda, number *s, number *u,       \
                   const int *ldu, number *vt, const int *ldvt, number *work, const int *lwork, int *iwork, int *info, \
                   size_t);                                                                                            \
    void p##syevd_(const char *job, const char *uplo, const int *n, number *a, const int *lda, number *w,              \
                   number *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t, size_t);          \
    void p##geev_(const char *left, const char *right, const int *n, number *a, const int *lda, number *real,          \
                  number *imaginary, number *vl, const int *ldvl, number *vr, const int *ldvr, number *work,           \
                  const int *lwork, int *info, size_t, size_t);

KEEL_LAPACK(s, float)
KEEL_LAPACK(d, double)
#undef KEEL_LAPACK

#endif
