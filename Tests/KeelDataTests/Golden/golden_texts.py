"""What the scripts beside this one train on, and what they encode."""
corpus = ["The quick brown fox jumps over the lazy dog, unaffable and unhappy.", "Running runners ran; the runner's running isn't over.",
          "Modèle d'été: l'élève préfère le thé. Übermut tut selten gut!", "数据 模型 训练 数据集", "1234567890 3.14159 2024-05-06 100%",
          "We'll see what they've done, I'm sure you'd say it's fine.", "привет мир, миру мир", "こんにちは 世界 カタカナ"] * 4
texts = ["The unaffable runner's dog isn't running.", "Élève e\u0301te\u0301 l'\u00fcber \u1e69 \uac00\uac01", "数据集x模型 hello世界!", "  two  spaces\tand\n\nlines  ", "",
         "a\u0000b\u200dc\ufffdd \ufb01ne \u2460 \uff8c\uff9f", "THEY'VE we'll 'tis I'D 's", "1,234.5e-6 v2.0 \u00bd", "🙂🙃 ok 👩‍👩‍👧", "x" * 120 + " y", "Привет, МИР…", "#hash ##up $5 `q` ^",
         "\u0130stanbul \u1e9e \u0915\u093f \u0e01\u0e33", "\u00a0a\u3000b\u2028c"]
