#!/usr/bin/env python3
"""Compares heed's byte-level BPE with the `tokenizers` package: the ids of the same vocabulary (a trained one, and
GPT-2's where HEED_DATA has it), the files of each opened by the other, and the merges learned from the same text.

  python3 tests/interop/tokenizers_check.py [--build build]
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time
import unicodedata

try:
    import tokenizers
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError:
    print("skipped: the Python package 'tokenizers' is not importable")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
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


def check(name, holds):
    print(f"{'ok' if holds else 'FAILED'}: {name}")
    return holds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build"), help="folder of the build")
    parser.add_argument("--vocab-size", type=int, default=4000)
    args = parser.parse_args()
    program = pathlib.Path(args.build) / "test_data"
    if not program.exists():
        sys.exit(f"error: {program} is not built")
    data = pathlib.Path(os.environ["HEED_DATA"]) if "HEED_DATA" in os.environ else None
    text = training_text(data)
    texts = TRICKY + list(random_texts(4000))

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
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
        print(f"left out: {newer} texts with marks that this version of tokenizers does not know")
        (folder / "cases.json").write_text(json.dumps(cases, ensure_ascii=False))
        (folder / "train.txt").write_text(text)
        (folder / "vocab_size").write_text(str(args.vocab_size))

        run = subprocess.run([str(program), "--gtest_filter=TokenizersInterop.*", "--gtest_brief=1"],
                             env={**os.environ, "HEED_INTEROP": name}, stdout=subprocess.PIPE, text=True)
        ok = check(f"heed encodes {len(cases)} texts as tokenizers {tokenizers.__version__} does", run.returncode == 0)
        if run.returncode:
            print(run.stdout[-3000:])
            sys.exit(1)

        ours = Tokenizer.from_file(str(folder / "trained" / "tokenizer.json"))
        answer = json.loads((folder / "trained" / "ids.json").read_text())
        ok &= check("tokenizers opens heed's file and encodes the text alike", ours.encode(text).ids == answer["ids"])
        ok &= check("... and decodes it", ours.decode(answer["ids"], skip_special_tokens=False) == text)
        ok &= check("... and all other texts come back",
                    all(ours.decode(ours.encode(t).ids, skip_special_tokens=False) == t for t in texts))
        a, b = (json.loads(t.to_str())["model"] for t in (ours, theirs))
        merges = [[tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in x["merges"]] for x in (a, b)]
        ok &= check(f"the same {len(merges[0])} merges are learned from {len(text) / 1e6:.1f} MB "
                    f"({answer['seconds']:.2f} s, tokenizers {their_seconds:.2f} s)", merges[0] == merges[1])
        vocab = {k: v for k, v in a["vocab"].items() if k != END}
        ok &= check("... with the same ids", vocab == {k: v for k, v in b["vocab"].items() if k != END})
        ok &= check("the end-of-text token is the last", ours.token_to_id(END) == ours.get_vocab_size() - 1)
    print(f"{'all' if ok else 'NOT all'} comparisons with tokenizers {tokenizers.__version__} agree; {len(cases)} texts")
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
