"""Writes golden_tokenizers.json: small vocabularies, made here, and what the package `tokenizers` and scikit-learn make of texts.
needs: tokenizers, scikit-learn"""
import json, pathlib, re, unicodedata
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, decoders, trainers
from golden_texts import corpus, texts
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

def byte_offsets(text, offsets):
    at = [0]
    for c in text: at.append(at[-1] + len(c.encode()))
    return [[at[a], at[b]] for a, b in offsets]

def encoded(t, text):
    e = t.encode(text); return dict(ids=e.ids, offsets=byte_offsets(text, e.offsets), text=t.decode(e.ids))

out = dict(texts=texts, forms={f.lower(): [unicodedata.normalize(f, t) for t in texts] for f in ["NFC", "NFD", "NFKC", "NFKD"]})
def vocabulary(normalizer, splitter):
    """Every character, and beginnings and ends of words: the trainer of `tokenizers` makes another one each time."""
    pieces = set()
    for w in (w for line in corpus for w, _ in splitter.pre_tokenize_str(normalizer.normalize_str(line))):
        pieces |= {w[:1], w[:2], w[:4], "##" + w[-3:]} | {"##" + c for c in w[1:]} | ({w} if len(w) < 6 else set())
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + sorted(pieces)

for name, lower in [("uncased", True), ("cased", False)]:
    normalizer, splitter = normalizers.BertNormalizer(lowercase=lower), pre_tokenizers.BertPreTokenizer()
    vocab = vocabulary(normalizer, splitter)
    t = Tokenizer(models.WordPiece({p: i for i, p in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=100))
    t.normalizer, t.pre_tokenizer, t.decoder = normalizer, splitter, decoders.WordPiece(cleanup=False)
    out[name] = dict(vocab="\n".join(vocab) + "\n", encoded=[encoded(t, x) for x in texts], normalized=[t.normalizer.normalize_str(x) for x in texts])

t = Tokenizer(models.BPE()); t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); t.decoder = decoders.ByteLevel()
t.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=450, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"], show_progress=False))
model = json.loads(t.to_str())["model"]
pairs = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
out["bpe"] = dict(vocab=json.dumps(model["vocab"]), merges="#version: 0.2\n" + "\n".join(pairs) + "\n", encoded=[encoded(t, x) for x in texts])

plain = [x for x in texts if not set(x) & set("\u0130\u0301\u1e69\u0915\u0e01\u200d")]
def rows(m): return [dict(columns=m[i].sorted_indices().indices.tolist(), values=m[i].sorted_indices().data.tolist()) for i in range(m.shape[0])]
def counted(**options):
    m = HashingVectorizer(n_features=64, norm=None, **options).transform(plain); m.eliminate_zeros(); return m
characters = counted(analyzer="char", preprocessor=lambda x: re.sub(r"\s+", " ", x.lower()), ngram_range=(2, 3), alternate_sign=True)
words = counted(analyzer="word", token_pattern=r"\w+", ngram_range=(1, 2), alternate_sign=False)
out["ngrams"] = dict(texts=plain, characters=rows(characters), words=rows(words), tfidf=rows(TfidfTransformer().fit_transform(words)))
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(out))
