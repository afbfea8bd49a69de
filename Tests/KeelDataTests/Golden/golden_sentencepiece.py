"""Writes golden_sentencepiece.json: small models, trained here, and what the package `sentencepiece` makes of texts.
needs: sentencepiece"""
import base64, io, json, os, pathlib, tempfile
import sentencepiece as sp
import golden_texts as shared

out = dict(texts=shared.texts + ["<sep>a<sep> b", "lazy<sep>dog ▁ x", "¡zzz ☃☃ q☃"], models={})
# A map of our own keeps the models small: the built-in ones take 240 kB each.
# Its file is named without a folder, because its name stands in the models.
here, folder = pathlib.Path(__file__).resolve(), tempfile.TemporaryDirectory(); os.chdir(folder.name)
rules = open("rules.tsv", "w")
for old, new in [("\ufb01", "fi"), ("e\u0301", "\u00e9"), ("\u00c9", "\u00e9"), ("T", "t"), ("\t", " "), ("\u3000", " "), ("\u00a0", " "), ("\u200d", ""), ("\u00bd", "1\u20442"), ("\uff8c\uff9f", "\u30d7"), ("\u2028", " ")]:
    rules.write(" ".join(f"{ord(c):X}" for c in old) + "\t" + " ".join(f"{ord(c):X}" for c in new) + "\n")
rules.close()
for name, options in [("unigram", dict(model_type="unigram", vocab_size=95, normalization_rule_tsv="rules.tsv")),
                      ("unigram-bytes", dict(model_type="unigram", vocab_size=345, byte_fallback=True, user_defined_symbols=["<sep>"], normalization_rule_name="identity")),
                      ("bpe", dict(model_type="bpe", vocab_size=170, user_defined_symbols=["<sep>"], normalization_rule_tsv="rules.tsv")),
                      ("bpe-bytes", dict(model_type="bpe", vocab_size=420, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False)),
                      ("bpe-bare", dict(model_type="bpe", vocab_size=160, add_dummy_prefix=False, normalization_rule_tsv="rules.tsv")),
                      ("word", dict(model_type="word", vocab_size=40, user_defined_symbols=["<sep>"], normalization_rule_tsv="rules.tsv")),
                      ("word-bare", dict(model_type="word", vocab_size=300, byte_fallback=True, add_dummy_prefix=False, remove_extra_whitespaces=False, normalization_rule_name="identity")),
                      ("char", dict(model_type="char", vocab_size=60, user_defined_symbols=["<sep>", "▁x"], normalization_rule_tsv="rules.tsv")),
                      ("char-bytes", dict(model_type="char", vocab_size=310, byte_fallback=True, remove_extra_whitespaces=False, normalization_rule_name="identity"))]:
    f = io.BytesIO(); sp.SentencePieceTrainer.train(sentence_iterator=iter(shared.corpus), model_writer=f, character_coverage=0.98, minloglevel=2, num_threads=1, **options)
    p = sp.SentencePieceProcessor(model_proto=f.getvalue())
    rows = [dict(ids=(ids := p.encode(t)), text=p.decode(ids)) for t in out["texts"]]
    out["models"][name] = dict(model=f.getvalue(), encoded=rows)

for m in out["models"].values(): m["model"] = base64.b64encode(m["model"]).decode()
here.with_suffix(".json").write_text(json.dumps(out))
