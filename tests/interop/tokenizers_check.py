#!/usr/bin/env python3
"""Compares heed's tokenizers with the `tokenizers` package: the ids of the same vocabularies (byte-level BPE, BPE over
characters, WordPiece and Unigram, trained here, and GPT-2's where HEED_DATA has it), the files of each opened by the
other, and the merges learned from the same text; and with the `sentencepiece` package the ids of .model files.

  python3 tests/interop/tokenizers_check.py [build/test_interop] [--keep FOLDER]

Exits with 77 where tokenizers is missing; without sentencepiece its part is left out, which the last line says.
"""
import json
import os
import pathlib
import random
import sys
import time
import unicodedata

from interop_common import ROOT, arguments, ask, built, folder_of, needed, report

with needed():
    import tokenizers
    from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors,
                            trainers)
try:
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
except ImportError:
    sentencepiece = None
try:
    import transformers
except ImportError:
    transformers = None

END = "<|endoftext|>"

TRICKY = [
    "", " ", "\n", "   ", "a", " a", "  a", "a  ", "\t\n x", "a\u00a0b", "a\u3000 b", "\x1c\x1d\x85x",
    "I'll we've it's HE'S ''s 'sx 're're", "don't 'd'", "x=1234,y=0x7f; // ²½Ⅷ", "été naïve ß Ω ﬁ",
    "中文字符 日本語 한국어", "😀👩‍👩‍👧 e\u0301", "مرحبا שלום", "\u200b\ufeff\u2028z", END, f"a{END}b{END}",
    "a" * 300, "ab" * 400, " " * 100 + "x", "\n" * 50, "é" * 200, "-" * 77 + ">",
]


def random_texts(count):
    rng = random.Random(1)
    pools = [
        [chr(c) for c in range(1, 128)],
        list(" \n\t\r'strevmld.,!aA1é"),
        [chr(c) for c in range(0x80, 0x3000)],
        [chr(c) for c in (*range(0x20, 0x7f), 0xA0, 0x2003, 0x4E2D, 0x0967, 0x2167, 0x1F600, 0xE000, 0x10FFFF)],
    ]
    for i in range(count):
        yield "".join(rng.choice(pools[i % 4]) for _ in range(rng.randint(1, 60)))


def byte_level(model):
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def styles():
    """Splits into words and normalisers of other families, by name."""
    level = lambda regex: pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=regex)
    split = lambda regex: pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"), level(False)])
    yield "llama3", split(LLAMA3), None, True
    yield "qwen2", split(LLAMA3.replace("{1,3}", "")), normalizers.NFC(), False
    yield "smollm", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level(True)]), None, False


EXTRA = [
    "①②③ ﬁﬂ ｆｕｌｌ  ｗｉｄｔｈ ㍿ ½ Ⅷ", "  leading and trailing  ", "a\u0300\u0301b ①\u0301 \r\n x\ty", "が か\u3099", "▁▁x ▁",
    "zzz \u0001 \ufeff", "\u1e9b\u0323 \u1100\u1161", "<s> </s> <unk>", "a</s>b <s>  c", "the<sep>ing sings  things",
    "[CLS]a[MASK] [SEP]", "İstanbul ÀÉ Straße", "x  <mask>  y <R>  z", "<mask><mask> <R><R>", "hello othello hello, Hello Foo FOO BAR",
]


def word_pieces(lines):
    """(name, tokenizer): BERT's layout and variations of its parts."""
    n, p, d = normalizers, pre_tokenizers, decoders
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

    def made(normalizer, pre_tokenizer=p.BertPreTokenizer(), decoder=d.WordPiece()):
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
        trainer = trainers.WordPieceTrainer(vocab_size=3000, special_tokens=specials, show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        return tokenizer

    yield "uncased", made(n.BertNormalizer())
    yield "cased", made(n.BertNormalizer(lowercase=False))
    yield "accents", made(n.BertNormalizer(strip_accents=False, handle_chinese_chars=False))
    yield "unclean", made(n.BertNormalizer(clean_text=False))
    yield "whitespace", made(n.BertNormalizer(), p.Whitespace(), d.WordPiece(cleanup=False))
    yield "parts", made(n.Sequence([n.NFKD(), n.StripAccents(), n.Lowercase(), n.Strip()]),
                        p.Sequence([p.WhitespaceSplit(), p.Punctuation(), p.Digits()]))
    added = made(n.BertNormalizer())
    added.add_special_tokens([AddedToken("<mask>", lstrip=True), AddedToken("<R>", rstrip=True)])
    added.add_tokens([AddedToken("hello", single_word=True), AddedToken("lo"), AddedToken("Foo"), AddedToken("BAR", normalized=False)])
    yield "added", added


def unigrams(lines):
    """(name, tokenizer): Unigram with Metaspace in its schemes, and ALBERT's normalizers."""
    n, p, d = normalizers, pre_tokenizers, decoders

    def made(normalizer, pre_tokenizer, decoder):
        tokenizer = Tokenizer(models.Unigram())
        tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.decoder = normalizer, pre_tokenizer, decoder
        trainer = trainers.UnigramTrainer(vocab_size=2000, special_tokens=["<s>", "</s>", "<unk>"], unk_token="<unk>",
                                          show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
        return tokenizer

    nfkc = n.Sequence([n.Nmt(), n.NFKC(), n.Replace(Regex(" {2,}"), " ")])
    for scheme in ("always", "never"):
        yield scheme, made(nfkc, p.Metaspace(prepend_scheme=scheme), d.Metaspace(prepend_scheme=scheme))
    yield "first", made(n.NFKC(), p.Metaspace(prepend_scheme="first"), d.Metaspace(prepend_scheme="first"))
    yield "albert", made(n.Sequence([n.Replace("``", '"'), n.Replace("''", '"'), n.NFKD(), n.StripAccents(),
                                     n.Lowercase()]),
                         p.Sequence([p.WhitespaceSplit(), p.Metaspace()]), d.Metaspace())


def character_bpes(text):
    """(name, tokenizer): Gemma's layout, Metaspace that splits, and BPE with an unknown token."""
    n, p, d = normalizers, pre_tokenizers, decoders
    split = sentences(text, True)
    split.pre_tokenizer = p.Metaspace(prepend_scheme="always", split=True)
    yield "split", split
    gemma = sentences(text, False)
    gemma.normalizer, gemma.pre_tokenizer = n.Replace(" ", "\u2581"), p.Split(" ", "merged_with_previous")
    gemma.decoder = d.Sequence([d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse()])
    yield "gemma", gemma
    for fuse in (True, False):
        made = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=fuse))
        made.pre_tokenizer = p.WhitespaceSplit()
        made.train_from_iterator(text.splitlines()[:4000], trainers.BpeTrainer(
            vocab_size=1500, special_tokens=["<unk>"], show_progress=False))
        yield f"unknown{int(fuse)}", made


SENTENCE_PIECES = {
    "unigram": dict(),
    "unigram_bytes": dict(byte_fallback=True, character_coverage=0.995),
    "unigram_user": dict(user_defined_symbols=["<sep>", "ing", "▁the"], normalization_rule_name="identity",
                         remove_extra_whitespaces=False),
    "unigram_cf": dict(normalization_rule_name="nmt_nfkc_cf", add_dummy_prefix=False),
    "unigram_suffix": dict(treat_whitespace_as_suffix=True, normalization_rule_name="nfkc"),
    "bpe": dict(model_type="bpe"),
    "bpe_bytes": dict(model_type="bpe", byte_fallback=True, split_digits=True, normalization_rule_name="identity",
                      remove_extra_whitespaces=False, allow_whitespace_only_pieces=True),
    "bpe_user": dict(model_type="bpe", user_defined_symbols=["<sep>", "ing"], normalization_rule_name="nfkc_cf"),
}


def sentence_pieces(lines, folder):
    """(path of a .model, its processor)."""
    (folder / "lines.txt").write_text("\n".join(lines) + "\n")
    for name, options in SENTENCE_PIECES.items():
        sentencepiece.SentencePieceTrainer.train(**{
            "input": str(folder / "lines.txt"), "model_prefix": str(folder / name), "vocab_size": 2000,
            "minloglevel": 2, "num_threads": 1, **options})
        path = folder / f"{name}.model"
        yield path, sentencepiece.SentencePieceProcessor(model_file=str(path))


def from_sentence_piece(path):
    """A .model as transformers converts it to a tokenizer.json: its charsmap as Precompiled."""
    n, d = normalizers, decoders
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(path.read_bytes())
    bytes_too = proto.trainer_spec.byte_fallback
    made = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 0, byte_fallback=bytes_too))
    made.normalizer = n.Sequence([n.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                  n.Strip(left=False, right=True), n.Replace(Regex(" {2,}"), "\u2581")])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = d.Metaspace() if not bytes_too else d.Sequence(
        [d.Replace("\u2581", " "), d.ByteFallback(), d.Fuse(), d.Strip(" ", 1, 0)])
    made.add_special_tokens(["<s>", "</s>", "<unk>"])
    return made


def xlm_roberta(lines, folder):
    """A folder with XLM-R's .model, and the tokenizer that transformers makes of it."""
    folder.mkdir()
    (folder / "lines.txt").write_text("\n".join(lines) + "\n")
    sentencepiece.SentencePieceTrainer.train(input=str(folder / "lines.txt"), model_prefix=str(folder / "sentencepiece.bpe"),
                                             vocab_size=2000, minloglevel=2, num_threads=1,
                                             normalization_rule_name="nmt_nfkc")
    return transformers.XLMRobertaTokenizer.from_pretrained(str(folder))


def unlike_newer_tables(texts):
    """Texts without the characters whose class newer Unicode has and the package's tables do not, or differently."""
    split, bare = pre_tokenizers.BertPreTokenizer(), normalizers.BertNormalizer(False, False, False, False)
    clean = normalizers.BertNormalizer(True, False, False, False)
    word, accents = pre_tokenizers.Whitespace(), normalizers.BertNormalizer(False, False, True, False)
    marks = normalizers.StripAccents()
    differs = {}

    def known(c):
        category = unicodedata.category(c)
        if category == "Cs":
            return False
        ascii_mark = c.isascii() and c.isprintable() and not c.isalnum() and c != " "
        punctuation = category[0] == "P" or ascii_mark
        if category not in ("Zs", "Zl", "Zp", "Cc") and punctuation != (len(split.pre_tokenize_str(f"a{c}b")) == 3):
            return False
        if (category in ("Cc", "Cf", "Co") and c not in "\t\n\r\ufffd") != (clean.normalize_str(f"a{c}b") == "ab"):
            return c in "\0\ufffd"
        if (category[0] == "M") != (marks.normalize_str(f"a{c}b") == "ab"):
            return False
        if (category == "Mn") != (accents.normalize_str(f"a{c}b") == "ab"):
            return False
        pieces = len(word.pre_tokenize_str(f"a{c}b"))
        return pieces == 3 if category == "Cn" else category[0] not in "LM" or pieces == 1

    for text in texts:
        for c in text:
            if c not in differs:
                differs[c] = not known(c)
        if not any(differs[c] for c in text):
            yield text


def newer_than_tables(model, text):
    """Whether NFC knows marks of the text that the package, whose tables are of an older Unicode, does not."""
    composes = isinstance(model.normalizer, normalizers.NFC)
    return composes and model.normalizer.normalize_str(text) != unicodedata.normalize("NFC", text)


def in_style(trained, style):
    """The vocabulary of a trained tokenizer, split in another way."""
    name, split, normalizer, ignore_merges = style
    document = json.loads(trained.to_str())
    document["model"]["ignore_merges"] = ignore_merges
    made = Tokenizer.from_str(json.dumps(document))
    made.pre_tokenizer = split
    if normalizer:
        made.normalizer = normalizer
    return made


def sentences(text, metaspace):
    """Llama 2's layout, or Mistral's later one: merges across words, bytes for unknown characters."""
    normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    learner = Tokenizer(models.BPE())
    learner.normalizer = normalizer
    learner.train_from_iterator(text.splitlines()[:4000], trainers.BpeTrainer(vocab_size=1500, show_progress=False))
    learned = json.loads(learner.to_str())["model"]
    specials = ["<unk>", "<s>", "</s>"]
    tokens = specials + [f"<0x{b:02X}>" for b in range(256)] + sorted(learned["vocab"], key=learned["vocab"].get)
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in learned["merges"]]
    made = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, unk_token="<unk>", fuse_unk=True,
                                byte_fallback=True))
    if metaspace:
        made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    else:
        made.normalizer = normalizer
    made.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                      decoders.Strip(" ", 1, 0)])
    made.add_special_tokens(specials)
    return made


def training_text(data):
    files = [data / "text" / "tinyshakespeare.txt"] if data else []
    files += sorted(ROOT.glob("core/*.cpp")) + sorted(ROOT.glob("data/*.cpp"))
    return "".join(path.read_text() for path in files if path.exists())


def main():
    parser = arguments(__doc__, "test_interop")
    parser.add_argument("--vocab-size", type=int, default=4000)
    args = parser.parse_args()
    program = built(args.program)
    data = pathlib.Path(os.environ["HEED_DATA"]) if "HEED_DATA" in os.environ else None
    text = training_text(data)
    texts = TRICKY + list(random_texts(4000))

    with folder_of(args.keep) as folder:
        theirs = byte_level(models.BPE())
        trainer = trainers.BpeTrainer(vocab_size=args.vocab_size - 1, min_frequency=2, show_progress=False,
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
        start = time.perf_counter()
        theirs.train_from_iterator([text], trainer)
        their_seconds = time.perf_counter() - start
        theirs.add_special_tokens([END])
        theirs.save(str(folder / "theirs.json"))

        vocabularies = [(str(folder / "theirs.json"), theirs)]
        gpt2 = data / "tokenizers" / "gpt2" if data else None
        if gpt2 and gpt2.exists():
            model = byte_level(models.BPE.from_file(str(gpt2 / "vocab.json"), str(gpt2 / "merges.txt")))
            model.add_special_tokens([END])
            vocabularies.append((str(gpt2), model))
        else:
            print("skipped: GPT-2's vocabulary (tokenizers/gpt2 below HEED_DATA)")
        for style in styles():
            model = in_style(theirs, style)
            path = str(folder / f"{style[0]}.json")
            model.save(path)
            vocabularies.append((path, model))
        for metaspace in (False, True):
            model = sentences(text, metaspace)
            path = str(folder / f"sentences{int(metaspace)}.json")
            model.save(path)
            vocabularies.append((path, model))
        cases, newer = [], 0
        for path, model in vocabularies:
            for t in texts + [text[:300000]]:
                if newer_than_tables(model, t):
                    newer += 1
                    continue
                ids = model.encode(t).ids
                cases.append({"tokenizer": path, "text": t, "ids": ids})
                if model.normalizer or model.decoder.__class__ is decoders.Sequence:
                    cases[-1]["decoded"] = model.decode(ids, skip_special_tokens=False)
        lines = [line for line in text.splitlines() if line.strip()][:8000]
        lines += ["été naïve Straße 中文字符 日本語 ①② ﬁ が"] * 20
        parts = list(unlike_newer_tables(texts + EXTRA))
        newer += len(texts + EXTRA) - len(parts)
        converted = []
        if sentencepiece:
            for path, processor in sentence_pieces(lines, folder):
                converted += [path] if "unigram" in path.name and "user" not in path.name else []
                for t in texts + EXTRA + [text[:30000]]:
                    ids = processor.encode(t)
                    cases.append({"tokenizer": str(path), "text": t, "ids": ids, "plain": True,
                                  "decoded": processor.decode(ids)})
        else:
            print("skipped: .model files (the Python package 'sentencepiece' is not importable)")
        if sentencepiece and transformers:
            theirs_xlm = xlm_roberta(lines, folder / "xlm-roberta")
            for a, b in zip(parts, reversed(parts)):
                if any(unicodedata.category(c) == "Cn" for c in a + b) or "<" in a + b:
                    continue  # as below
                if not b:
                    continue  # transformers takes an empty second text for none
                one, two = theirs_xlm(a), theirs_xlm(a, b)
                cases.append({"tokenizer": str(folder / "xlm-roberta"), "text": a, "second": b, "ids": one["input_ids"],
                              "pair": two["input_ids"], "types": [0] * len(two["input_ids"])})
        else:
            print("skipped: XLM-R's .model (the Python packages 'sentencepiece' and 'transformers')")
        composed = [(f"converted-{path.stem}", from_sentence_piece(path)) for path in converted]
        for part, model in [*word_pieces(lines), *unigrams(lines), *character_bpes(text), *composed]:
            path = str(folder / f"parts-{part}.json")
            model.save(path)
            for t in parts + [text[:100000]]:
                if part.startswith("converted") and any(unicodedata.category(c) == "Cn" for c in t):
                    newer += 1  # the package's grapheme clusters are of a newer Unicode than ours
                    continue
                if part == "first" and t[:1] in "\u0340\u0341\u0343\u0344":
                    continue
                ids = model.encode(t, add_special_tokens=False).ids
                cases.append({"tokenizer": path, "text": t, "ids": ids,
                              "decoded": model.decode(ids, skip_special_tokens=False)})
            if model.post_processor:
                for a, b in zip(parts, reversed(parts)):
                    one, two = model.encode(a), model.encode(a, b)
                    if "<" in a + b or "[" in a + b:
                        continue  # special tokens that are written out are plain text in frames
                    cases.append({"tokenizer": path, "text": a, "second": b, "ids": one.ids, "pair": two.ids,
                                  "types": two.type_ids})
        print(f"left out: {newer} texts with characters that this version of tokenizers does not know")
        (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=False))
        (folder / "train.txt").write_text(text)
        (folder / "vocab_size").write_text(str(args.vocab_size))

        ask(program, "TokenizersInterop.*", folder, len(cases), "texts are encoded and decoded as the packages do")
        compare_trained(folder, text, texts, theirs, their_seconds)
    beside = f", sentencepiece {sentencepiece.__version__}" if sentencepiece else ", without sentencepiece"
    return report.finish(f"tokenizers {tokenizers.__version__}{beside}: {len(cases)} texts, and what is learned")


def compare_trained(folder, text, texts, theirs, their_seconds):
    """heed's own BPE of the text beside that of the package."""
    check = report.check
    ours = Tokenizer.from_file(str(folder / "trained" / "tokenizer.json"))
    answer = json.loads((folder / "trained" / "ids.json").read_text())
    check("tokenizers opens heed's file and encodes the text alike", ours.encode(text).ids == answer["ids"])
    check("... and decodes it", ours.decode(answer["ids"], skip_special_tokens=False) == text)
    check("... and all other texts come back",
          all(ours.decode(ours.encode(t).ids, skip_special_tokens=False) == t for t in texts))
    a, b = (json.loads(t.to_str())["model"] for t in (ours, theirs))
    merges = [[tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in x["merges"]] for x in (a, b)]
    check(f"the same {len(merges[0])} merges are learned from {len(text) / 1e6:.1f} MB "
          f"({answer['seconds']:.2f} s, tokenizers {their_seconds:.2f} s)", merges[0] == merges[1])
    vocab = {k: v for k, v in a["vocab"].items() if k != END}
    check("... with the same ids", vocab == {k: v for k, v in b["vocab"].items() if k != END})
    check("the end-of-text token is the last", ours.token_to_id(END) == ours.get_vocab_size() - 1)


if __name__ == "__main__":
    sys.exit(main())
