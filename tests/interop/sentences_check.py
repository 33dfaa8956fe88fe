#!/usr/bin/env python3
"""Compares `heed embed` with the sentence_transformers package on small random encoders: poolings, normalisation, prompts,
truncation, both layouts of their files; and what `heed export` gives back, opened by the package.

  python3 tests/interop/sentences_check.py [build/heed] [--model FOLDER] [--keep FOLDER]

`--model` adds a model of real weights. Exits with 77 where a package is missing.
"""
import json
import pathlib
import sys

from interop_common import arguments, built, folder_of, heed, needed, report

with needed():
    import numpy
    import sentence_transformers
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

WORDS = "attention is what the reader gives to a text and of course it pays heed".split()
TEXTS = [" ".join(WORDS[i % 7: i % 7 + 1 + i % 9]) for i in range(37)] + [
    "", "The Reader, GIVES!", "été naïve Straße", "x" * 60, " ".join(WORDS * 4), "a\tb  c", "中文 text"]
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


def encoder(folder, kind):
    """A random encoder with a tokenizer, in the format of the hub."""
    torch.manual_seed(3)
    common = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=80, initializer_range=0.2)
    folder.mkdir()
    letters = [chr(97 + i) for i in range(26)]
    if kind == "bert":
        vocab = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *("##" + c for c in letters), *WORDS]
        (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocab)) + "\n")
        tokenizer = transformers.BertTokenizer(vocab=str(folder / "vocab.txt"))
        config = transformers.BertConfig(vocab_size=len(set(vocab)), max_position_embeddings=40, **common)
        model = transformers.BertModel(config)
    else:
        pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *(("\u2581" + w, -3.0) for w in dict.fromkeys(WORDS)),
                  ("\u2581", -4.0), *((c, -6.0) for c in letters if c not in WORDS), ("<mask>", 0.0)]
        tokenizer = transformers.XLMRobertaTokenizer(vocab=pieces)
        config = transformers.XLMRobertaConfig(vocab_size=len(pieces), max_position_embeddings=42, type_vocab_size=1,
                                               pad_token_id=1, **common)
        model = transformers.XLMRobertaModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.25)
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def as_before_version_6(folder, mode, longest):
    """The files of an older package."""
    modes = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens"}
    pooling = json.loads((folder / "1_Pooling" / "config.json").read_text())
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(
        {"word_embedding_dimension": pooling["embedding_dimension"],
         **{f"pooling_mode_{name}": key == mode for key, name in modes.items()}, "pooling_mode_mean_sqrt_len_tokens": False}))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": longest, "do_lower_case": False}))
    modules = json.loads((folder / "modules.json").read_text())
    for module in modules:
        module["type"] = "sentence_transformers.models." + module["type"].split(".")[-1]
    (folder / "modules.json").write_text(json.dumps(modules))


def difference(ours, theirs):
    """Largest distance over the largest number."""
    return float(numpy.abs(ours - theirs).max() / numpy.abs(theirs).max())


def vectors(run, folder, *arguments):
    out = folder / "vectors.npy"
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in TEXTS))
    heed("embed", run, folder / "texts.jsonl", "--out", out, *arguments)
    return numpy.load(out)


def compare(name, source, folder, most):
    theirs = SentenceTransformer(str(source), device="cpu")
    run = folder / f"run-{name}"
    heed("import", source, run)
    ours, want = vectors(run, folder), theirs.encode(TEXTS, batch_size=5)
    apart = difference(ours, want)
    report.check(f"{name}: {len(TEXTS)} vectors of {ours.shape[1]}", apart <= most, f"relative difference {apart:.1e}")
    for prompt in theirs.prompts:
        apart = difference(vectors(run, folder, "--prompt-name", prompt), theirs.encode(TEXTS, prompt_name=prompt))
        report.check(f"{name}: with the prompt '{prompt}'", apart <= most, f"relative difference {apart:.1e}")
    heed("export", run, folder / f"back-{name}", "--format", "hf")
    back = SentenceTransformer(str(folder / f"back-{name}"), device="cpu").encode(TEXTS, batch_size=5)
    report.check(f"{name}: the export gives the package the same vectors", numpy.array_equal(back, want))
    similarity = json.loads(heed("embed", run, "--text", TEXTS[0], "--text", TEXTS[5], "--similarity", "--json"))["similarity"]
    cosine = float(torch.nn.functional.cosine_similarity(*map(torch.tensor, theirs.encode([TEXTS[0], TEXTS[5]])), dim=0))
    report.check(f"{name}: the cosine of two", abs(similarity[0][1] - cosine) <= 4 * most, f"{similarity[0][1]:.4f} and {cosine:.4f}")


def main():
    parser = arguments(__doc__)
    parser.add_argument("--model", help="a folder with a model of sentence_transformers, to compare too")
    args = parser.parse_args()
    heed.command = built(args.program)
    # Three layers in single precision, of sums of 80 terms at most, in another order.
    most = 3e-6
    with folder_of(args.keep) as folder:
        for kind in ("bert", "xlm-roberta"):
            base = folder / kind
            encoder(base, kind)
            for mode, unit, before in (("mean", True, False), ("cls", False, False), ("max", False, False),
                                       ("mean", False, True), ("max", True, True)):
                if kind == "xlm-roberta" and before:
                    continue
                case = f"{kind}-{mode}{'-unit' if unit else ''}{'-before-6' if before else ''}"
                modules = [Transformer(str(base), max_seq_length=20), Pooling(48, pooling_mode=mode), *([Normalize()] if unit else [])]
                made = SentenceTransformer(modules=modules, prompts={"query": "the text "} if mode == "mean" else None, device="cpu")
                made.save(str(folder / case))
                if before:
                    as_before_version_6(folder / case, mode, 20)
                compare(case, folder / case, folder, most)
        if args.model:
            compare("model", pathlib.Path(args.model), folder, 2e-5)
    return report.finish(f"sentence_transformers {sentence_transformers.__version__}, transformers {transformers.__version__}")


if __name__ == "__main__":
    sys.exit(main())
