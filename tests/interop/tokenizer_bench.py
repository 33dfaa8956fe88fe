#!/usr/bin/env python3
"""Times heed's tokenizers and those of the `tokenizers` package, one thread each, in turns in the same run, on the same
text: GPT-2's vocabulary split as GPT-2, Llama 3 and Qwen do, BERT's WordPiece, and a Unigram and a byte-level BPE that
are learnt here. Both must give as many tokens.

  HEED_DATA=... python3 tests/interop/tokenizer_bench.py [--build build] [--text FILE] [--lines]
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"
try:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
except ImportError:
    print("skipped: the Python package 'tokenizers' is not importable")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")


def made_of(data, text):
    """(name, tokenizer) of every kind."""
    p, n, d = pre_tokenizers, normalizers, decoders

    def byte_level(split, normalizer=None):
        folder = data / "tokenizers" / "gpt2"
        tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
        tokenizer.pre_tokenizer, tokenizer.decoder = split, d.ByteLevel()
        if normalizer:
            tokenizer.normalizer = normalizer
        return tokenizer

    def regex(pattern):
        return p.Sequence([p.Split(Regex(pattern), "isolated"), p.ByteLevel(add_prefix_space=False, use_regex=False)])

    yield "BPE, GPT-2", byte_level(p.ByteLevel(add_prefix_space=False))
    yield "BPE, Llama 3's split", byte_level(regex(LLAMA3))
    yield "BPE, Qwen's split", byte_level(regex(LLAMA3.replace("{1,3}", "")), n.NFC())
    bert = Tokenizer(models.WordPiece.from_file(str(data / "tokenizers" / "bert-base-uncased" / "vocab.txt"),
                                                unk_token="[UNK]"))
    bert.normalizer, bert.pre_tokenizer, bert.decoder = n.BertNormalizer(), p.BertPreTokenizer(), d.WordPiece()
    yield "WordPiece, BERT", bert
    unigram = Tokenizer(models.Unigram())
    unigram.normalizer, unigram.pre_tokenizer, unigram.decoder = n.NFKC(), p.Metaspace(), d.Metaspace()
    unigram.train_from_iterator(text.splitlines(), trainers.UnigramTrainer(
        vocab_size=8000, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False))
    yield "Unigram, Metaspace", unigram
    # Llama 2's layout: no words, so that merges may cross them.
    sentence = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))
    sentence.pre_tokenizer, sentence.decoder = p.Metaspace(), d.Metaspace()
    sentence.train_from_iterator(text.splitlines(), trainers.BpeTrainer(
        vocab_size=8000, special_tokens=["<unk>"], show_progress=False))
    sentence.pre_tokenizer = p.Metaspace(prepend_scheme="first", split=False)
    yield "BPE of characters, no words", sentence


def theirs(tokenizer, texts, seconds):
    """Seconds of encoding them all, the best of some; and the tokens."""
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        start = time.process_time()
        count = sum(len(tokenizer.encode(t, add_special_tokens=False).ids) for t in texts)
        best = min(best, time.process_time() - start)
    return best, count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=str(ROOT / "build"), help="folder of the build")
    parser.add_argument("--text", help="the text [default: WikiText-2's test part in HEED_DATA]")
    parser.add_argument("--lines", action="store_true", help="every line is a text of its own")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement, of which there are three")
    parser.add_argument("--only", default="", help="the kinds whose names hold this")
    args = parser.parse_args()
    if "HEED_DATA" not in os.environ:
        sys.exit("error: HEED_DATA is not set")
    data = pathlib.Path(os.environ["HEED_DATA"])
    path = pathlib.Path(args.text or data / "text" / "wikitext2-test.txt")
    text = path.read_bytes().decode()
    texts = [line for line in re.split(r"(?<=\n)", text) if line] if args.lines else [text]
    megabytes = len(text.encode()) / 1e6
    agree = True
    print(f"{'':30} {'heed MB/s':>10} {'tokenizers MB/s':>16} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as folder:
        for name, tokenizer in made_of(data, (data / "text" / "wikitext2-valid.txt").read_text()):
            if args.only not in name:
                continue
            file = str(pathlib.Path(folder) / "tokenizer.json")
            tokenizer.save(file)
            tokenizer.encode_special_tokens = True  # special tokens that are written out are text
            command = [str(pathlib.Path(args.build) / "heed"), "bench", "tokenizer", file, str(path), "--json",
                       "--seconds", str(args.seconds)] + (["--lines"] if args.lines else [])
            ours, seconds = 0.0, float("inf")
            for _ in range(3):
                answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                ours = max(ours, answer["encode_mb_per_second"])
                took, count = theirs(tokenizer, texts, args.seconds)
                seconds = min(seconds, took)
            their_rate = megabytes / seconds
            same = count == answer["tokens"]
            agree &= same
            differ = "" if same else f"  DIFFERENT TOKENS: {answer['tokens']} and {count}"
            print(f"{name:30} {ours:10.1f} {their_rate:16.1f} {ours / their_rate:6.1f}{differ}", flush=True)
    sys.exit(0 if agree else 1)


if __name__ == "__main__":
    main()
