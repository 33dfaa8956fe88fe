#!/usr/bin/env python3
"""Compares heed with the `transformers` package on small random models of each family: `heed import` of what
transformers wrote (logits, and greedy text with a key-value cache, token for token), `heed export --format hf` of what
heed has, opened by transformers, and the round trips, bit for bit.

  python3 tests/interop/hf_check.py [build/heed] [--only NAME] [--keep FOLDER]

Exits with 77 where a package is missing.
"""
import json
import math
import pathlib
import shutil
import sys
import zlib

from interop_common import arguments, built, folder_of, heed, needed, read_yaml, report, run_each

with needed():
    import numpy
    import torch
    import transformers
    import yaml
    from safetensors.torch import load_file, save_file
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
VOCAB = 300
PROMPT = "Attention is what the reader gives to the text, it's said; 42 times."

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()


# --- runs of heed's -------------------------------------------------------------------------------------------------


def recipe_of(run):
    return read_yaml((checkpoint_of(run) / "recipe.yaml").read_text())


def checkpoint_of(run):
    return sorted((run / "checkpoints").iterdir())[-1]


def weights_of(checkpoint):
    return load_file(checkpoint / "model.safetensors")


def probe(run, inputs, dtype, folder):
    """The outputs of heed's model of that run."""
    checkpoint = checkpoint_of(run)
    model = recipe_of(run)["model"]
    (folder / "model.json").write_text(json.dumps({k: v for k, v in model.items() if k != "type"}))
    save_file(inputs, folder / "in.safetensors")
    heed("probe", model["type"], "--config", folder / "model.json", "--weights", checkpoint / "model.safetensors",
         "--inputs", folder / "in.safetensors", "--dtype", dtype, "--out", folder / "out.safetensors")
    out = load_file(folder / "out.safetensors")
    return [out[k] for k in sorted(out)]


def same_tensors(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].numpy(force=True).tobytes() ==
        b[k].numpy(force=True).tobytes() if a[k].dtype != torch.bfloat16 else torch.equal(a[k], b[k]) for k in a)


def refuses(name, wanted, base, source, *options):
    """Checks that `heed import` of `source` is refused, says what is wanted, and leaves nothing behind."""
    run = heed("import", source, base / "refused", *options, fails=True)
    left = list(base.glob("*refused*")) + list(base.glob(".writing-*"))
    report.check(f"refused: {name}", run.returncode == 2 and wanted in run.stderr and not left,
                 run.stderr.strip().splitlines()[-1][:150] if run.stderr else "")
    for path in left:
        shutil.rmtree(path)


# --- transformers -------------------------------------------------------------------------------------------------


def tokenizer(begins=False):
    """A byte-level BPE of VOCAB ids, trained on this file; `begins`: texts begin with a special token."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - 1, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    made.train_from_iterator([pathlib.Path(__file__).read_text()], trainer)
    made.add_special_tokens([END])
    if begins:
        made.post_processor = processors.TemplateProcessing(single=f"{END} $A", special_tokens=[(END, VOCAB - 1)])
    assert made.get_vocab_size() == VOCAB
    return made


def randomise(model, std=0.3):
    """Weights of a size that makes every part matter; norms and biases away from ones and zeros."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.add_(0.1 * noise)
            else:
                parameter.copy_(noise * (std if "emb" in name or "wte" in name else 1 / math.sqrt(parameter.shape[-1])))
    return model.eval()


class Case:
    def __init__(self, name, kind, config, dtype=torch.float32, rotary=False, text=False, images=False, shard=None,
                 tokens=29, edit=None):
        self.name, self.kind, self.config, self.dtype = name, kind, config, dtype
        self.rotary, self.text, self.images, self.shard, self.tokens = rotary, text, images, shard, tokens
        self.edit = edit  # of config.json, to have it as older versions of transformers wrote it

    def save(self, folder):
        torch.manual_seed(3)
        model = randomise(self.kind(self.config)).to(self.dtype)
        model.save_pretrained(folder, **({"max_shard_size": self.shard} if self.shard else {}))
        if self.edit:
            config = json.loads((folder / "config.json").read_text())
            self.edit(config)
            (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        if self.text:
            tokenizer(self.text == "begins").save(str(folder / "tokenizer.json"))
        if isinstance(self, PictureCase):
            size = self.config.vision_config.image_size
            (folder / "preprocessor_config.json").write_text(json.dumps({
                "do_resize": True, "size": {"shortest_edge": size}, "resample": 3, "do_center_crop": True,
                "crop_size": {"height": size, "width": size}, "do_rescale": True, "rescale_factor": 1 / 255,
                "do_normalize": True, "image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]}))
        return self.open(folder)

    def open(self, folder, dtype=None):
        # ViT's own attention has its softmax in f32 always; the fused one has not.
        attention = "sdpa" if self.images else "eager"
        return self.kind.from_pretrained(folder, dtype=dtype or self.dtype, attn_implementation=attention).eval()

    def inputs(self):
        generator = torch.Generator().manual_seed(11)
        if self.images:
            size = self.config.image_size
            return {"pixel_values": torch.rand(2, self.config.num_channels, size, size, generator=generator)}
        return {"input_ids": torch.randint(5, self.config.vocab_size, (2, self.tokens), generator=generator)}

    def tolerance(self, dtype, largest):
        """Roundings of every block's four sums, of at most 64 terms on average; transformers has Llama's angles, norms
        and softmax in f32 always."""
        config = self.config
        layers = getattr(config, "num_hidden_layers", None) or getattr(config, "n_layer", None) or (
            config.text_config.num_hidden_layers + config.vision_config.num_hidden_layers)
        unit = 2.0**-24 if dtype == "f32" else 2.0**-53
        angles = self.tokens * 2.0**-24 if self.rotary else 0.0
        return largest * 4 * layers * (64 * unit + angles)


class PictureCase(Case):
    """A model that reads pictures: a row's text has one, in the middle, in front or at the end."""

    def picture_tokens(self):
        vision = self.config.vision_config
        whole = self.config.vision_feature_select_strategy == "full"
        return (vision.image_size // vision.patch_size) ** 2 + whole

    def inputs(self):
        generator = torch.Generator().manual_seed(11)
        size, count = self.config.vision_config.image_size, self.picture_tokens()
        ids = torch.randint(5, VOCAB, (3, self.tokens + count), generator=generator)
        for row, at in enumerate((4, 0, self.tokens)):
            ids[row, at:at + count] = self.config.image_token_index
        return {"input_ids": ids, "pixel_values": torch.randn(3, 3, size, size, generator=generator)}


def decoder_inputs(inputs):
    if "input_ids" in inputs and "pixel_values" in inputs:
        return {"ids": inputs["input_ids"], "images": inputs["pixel_values"].permute(0, 2, 3, 1).contiguous()}
    return {"ids": inputs["input_ids"]} if "input_ids" in inputs else {
        "x": inputs["pixel_values"].permute(0, 2, 3, 1).contiguous()}


def outputs_of(model, inputs):
    """In heed's order: hidden states, the pooled vector, logits; or logits alone."""
    with torch.no_grad():
        out = model(**inputs)
    if hasattr(out, "logits"):
        return [out.logits]
    return [out.last_hidden_state] + ([out.pooler_output] if out.pooler_output is not None else [])


def compare_outputs(case, what, model, run, folder):
    inputs = case.inputs()
    for dtype, torch_dtype in (("f32", torch.float32), ("f64", torch.float64)):
        theirs = outputs_of(model.to(torch_dtype), {k: v.to(torch_dtype) if v.is_floating_point() else v
                                                    for k, v in inputs.items()})
        ours = probe(run, decoder_inputs(inputs), dtype, folder)
        ours = ours[-len(theirs):]
        for a, b in zip(ours, theirs):
            largest = b.abs().max().item()
            error = (a.double() - b.double()).abs().max().item() if a.shape == b.shape else math.inf
            bound = case.tolerance(dtype, max(1.0, largest))
            report.check(f"{case.name}: {what}, {dtype}", error <= bound, f"{error:.1e} of {largest:.1f}, bound {bound:.1e}")
    model.to(case.dtype)


def compare_text(case, source, run):
    # Opened anew: a model that was of bf16 for a while has its rotary frequencies rounded to that.
    model = case.open(source, torch.float32)
    prompt = tokenizer(case.text == "begins").encode(PROMPT).ids
    answer = json.loads(heed("generate", run, "--prompt", PROMPT, "--greedy", "--max-tokens", 48, "--json"))
    with torch.no_grad():
        ids = model.generate(torch.tensor([prompt]), max_new_tokens=48, do_sample=False,
                                     eos_token_id=VOCAB - 1, pad_token_id=0)[0, len(prompt):].tolist()
    report.check(f"{case.name}: greedy text of {len(ids)} tokens with a cache", answer["ids"] == ids,
                 "" if answer["ids"] == ids else f"{answer['ids']} and {ids}")


def png(pixels):
    """A file of pixels [H, W, 3], bytes."""
    chunk = lambda kind, body: (len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big"))
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + pixels[y].tobytes() for y in range(height))
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def compare_picture_text(case, source, run, folder):
    """Greedy text about a picture, which preprocessor_config.json only normalises."""
    model = case.open(source, torch.float32)
    size, count = case.config.vision_config.image_size, case.picture_tokens()
    pixels = numpy.random.default_rng(5).integers(0, 256, (size, size, 3), dtype=numpy.uint8)
    (folder / "picture.png").write_bytes(png(pixels))
    values = json.loads((source / "preprocessor_config.json").read_text())
    mean, std = torch.tensor(values["image_mean"]), torch.tensor(values["image_std"])
    pixel_values = ((torch.from_numpy(pixels).float() / 255 - mean) / std).permute(2, 0, 1)[None]
    before, behind = PROMPT[:20], PROMPT[20:]
    made = tokenizer(case.text == "begins")
    for name, prompt, ids in (
            ("in the prompt", f"{before}<image>{behind}",
             made.encode(before).ids + [case.config.image_token_index] * count + tokenizer().encode(behind).ids),
            ("in front of it", PROMPT, made.encode("").ids + [case.config.image_token_index] * count +
             tokenizer().encode(PROMPT).ids)):
        answer = json.loads(heed("generate", run, "--image", folder / "picture.png", "--prompt", prompt, "--greedy",
                                 "--max-tokens", 32, "--json"))
        with torch.no_grad():
            out = model.generate(input_ids=torch.tensor([ids]), pixel_values=pixel_values, max_new_tokens=32, do_sample=False,
                                 eos_token_id=VOCAB - 1, pad_token_id=0,
                                 suppress_tokens=list(range(VOCAB, case.config.text_config.vocab_size)))[0, len(ids):].tolist()
        report.check(f"{case.name}: greedy text of {len(out)} tokens about a picture {name}", answer["ids"] == out,
                     "" if answer["ids"] == out else f"{answer['ids']} and {out}")


def compare_case(case, base):
    folder = base / case.name
    folder.mkdir()
    source, run, back, again = (folder / n for n in ("source", "run", "back", "again"))
    model = case.save(source)
    heed("import", source, run)
    compare_outputs(case, "outputs as imported", model, run, folder)
    if isinstance(case, PictureCase):
        compare_picture_text(case, source, run, folder)
    elif case.text:
        compare_text(case, source, run)
    heed("export", run, back, "--format", "hf")
    report.check(f"{case.name}: config.json comes back as it was",
                 (back / "config.json").read_bytes() == (source / "config.json").read_bytes())
    report.check(f"{case.name}: weights come back bit for bit",
                 same_tensors(case.open(back).state_dict(), model.state_dict()))
    heed("import", back, again)
    first, second = checkpoint_of(run), checkpoint_of(again)
    report.check(f"{case.name}: heed to hf to heed, weights bit for bit",
                 (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes())
    report.check(f"{case.name}: ... and recipe", (first / "recipe.yaml").read_bytes() ==
                 (second / "recipe.yaml").read_bytes())


# --- cases --------------------------------------------------------------------------------------------------------


def cases():
    t = transformers
    small = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88,
                 max_position_embeddings=256, bos_token_id=None, eos_token_id=VOCAB - 1)
    decoder = dict(rotary=True, text=True)

    def older(config):
        """rope_theta and rope_scaling, as before version 5."""
        parameters = config.pop("rope_parameters")
        config["rope_theta"] = parameters.pop("rope_theta")
        config["rope_scaling"] = None if parameters["rope_type"] == "default" else parameters
        config["torch_dtype"] = config.pop("dtype")

    llama = t.LlamaForCausalLM
    yield Case("llama", llama, t.LlamaConfig(**small, num_key_value_heads=2), **decoder)
    yield Case("llama-tied-older-shards", llama,
               t.LlamaConfig(**small, num_key_value_heads=4, tie_word_embeddings=True, rms_norm_eps=1e-5),
               shard="50KB", edit=older, **decoder)
    yield Case("llama-3.1", llama, t.LlamaConfig(
        **small, num_key_value_heads=1, head_dim=16, rope_parameters={
            "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}), rotary=True, text="begins")
    yield Case("llama-linear-older", llama, t.LlamaConfig(
        **small, num_key_value_heads=2, rope_parameters={"rope_type": "linear", "rope_theta": 1e4, "factor": 4.0}),
        edit=older, **decoder)
    yield Case("llama-biases", llama, t.LlamaConfig(**small, attention_bias=True, mlp_bias=True), **decoder)
    yield Case("llama-attention-biases", llama, t.LlamaConfig(**small, attention_bias=True), **decoder)
    yield Case("llama-bf16", llama, t.LlamaConfig(**small, num_key_value_heads=2), dtype=torch.bfloat16, **decoder)
    yield Case("llama-f16", llama, t.LlamaConfig(**small, num_key_value_heads=2), dtype=torch.float16, **decoder)
    mistral = t.MistralForCausalLM
    yield Case("mistral", mistral, t.MistralConfig(**small, num_key_value_heads=2, sliding_window=None), **decoder)
    yield Case("mistral-window", mistral,
               t.MistralConfig(**small, num_key_value_heads=2, sliding_window=7, head_dim=20), **decoder)
    qwen2 = t.Qwen2ForCausalLM
    yield Case("qwen2", qwen2, t.Qwen2Config(**small, num_key_value_heads=2), **decoder)
    yield Case("qwen2-windows", qwen2, t.Qwen2Config(
        **small, num_key_value_heads=2, use_sliding_window=True, sliding_window=6, max_window_layers=1,
        tie_word_embeddings=True), **decoder)
    qwen3 = t.Qwen3ForCausalLM
    yield Case("qwen3", qwen3, t.Qwen3Config(**small, num_key_value_heads=2, head_dim=16), **decoder)
    yield Case("qwen3-layers", qwen3, t.Qwen3Config(
        **small, num_key_value_heads=2, head_dim=16, attention_bias=True, use_sliding_window=True, sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"]), **decoder)
    gpt2 = dict(vocab_size=VOCAB, n_positions=256, n_embd=48, n_layer=3, n_head=4, bos_token_id=VOCAB - 1,
                eos_token_id=VOCAB - 1)
    yield Case("gpt2", t.GPT2LMHeadModel, t.GPT2Config(**gpt2), text=True)
    yield Case("gpt2-inner", t.GPT2LMHeadModel,
               t.GPT2Config(**gpt2, n_inner=72, activation_function="relu", tie_word_embeddings=False), text=True)
    bert = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88,
                max_position_embeddings=64)
    yield Case("bert", t.BertModel, t.BertConfig(**bert))
    yield Case("bert-mlm", t.BertForMaskedLM, t.BertConfig(**bert, type_vocab_size=3))
    yield Case("bert-classes", t.BertForSequenceClassification, t.BertConfig(**bert, num_labels=5, hidden_act="relu"))
    yield Case("roberta", t.RobertaModel, t.RobertaConfig(**bert, type_vocab_size=1, layer_norm_eps=1e-5))
    yield Case("roberta-mlm", t.RobertaForMaskedLM, t.RobertaConfig(**bert, type_vocab_size=1))
    yield Case("roberta-classes", t.RobertaForSequenceClassification, t.RobertaConfig(**bert, num_labels=2))
    yield Case("xlm-roberta-mlm", t.XLMRobertaForMaskedLM, t.XLMRobertaConfig(**bert, type_vocab_size=1))
    vit = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88, image_size=24,
               patch_size=6)
    yield Case("vit", t.ViTForImageClassification, t.ViTConfig(**vit, num_labels=7), images=True)
    yield Case("deit", t.DeiTForImageClassification, t.DeiTConfig(**vit, num_labels=4), images=True)
    yield Case("vit-grey", t.ViTForImageClassification,
               t.ViTConfig(**vit, num_channels=1, qkv_bias=False, hidden_act="gelu_new"), images=True)


def picture_cases():
    t = transformers
    tower = dict(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88, image_size=24, patch_size=8)
    text = dict(vocab_size=VOCAB + 8, hidden_size=40, num_hidden_layers=2, num_attention_heads=4, intermediate_size=72,
                max_position_embeddings=256, bos_token_id=None, eos_token_id=VOCAB - 1)

    def llava(vision, decoder, **more):
        return t.LlavaConfig(vision_config=t.CLIPVisionConfig(**vision), text_config=decoder, image_token_index=VOCAB + 3,
                             image_seq_length=9, **more)

    def version4(config):
        """The parts of version 4, which left out what were Llama's defaults; no head_dim, other names."""
        for key in ("head_dim", "attention_bias", "mlp_bias", "initializer_range", "pretraining_tp"):
            config["text_config"].pop(key, None)
        config["text_config"]["rope_theta"] = config["text_config"].pop("rope_parameters")["rope_theta"]
        config["ignore_index"] = -100

    made = lambda name, config, **more: PictureCase(name, t.LlavaForConditionalGeneration, config, rotary=True, **{"text": True, **more})
    yield made("llava", llava(tower, t.LlamaConfig(**text, num_key_value_heads=2)))
    yield made("llava-last-full", llava(dict(tower, hidden_act="gelu"), t.LlamaConfig(**text), vision_feature_layer=-1,
                                        vision_feature_select_strategy="full", multimodal_projector_bias=False), text="begins")
    yield made("llava-first-mistral", llava(tower, t.MistralConfig(**text, num_key_value_heads=2, sliding_window=8),
                                            vision_feature_layer=1, projector_hidden_act="relu"))
    yield made("llava-qwen2-tied", llava(tower, t.Qwen2Config(**text, num_key_value_heads=2, tie_word_embeddings=True)))
    yield made("llava-bf16", llava(tower, t.LlamaConfig(**text, num_key_value_heads=2)), dtype=torch.bfloat16, shard="60KB")
    yield made("llava-version-4", llava(tower, t.LlamaConfig(**text, num_key_value_heads=2)), edit=version4)


# --- models of heed's own -----------------------------------------------------------------------------------------


def own_models():
    gpt = {"type": "gpt", "context": 64, "layers": 2, "dim": 32, "heads": 4}
    llama = dict(gpt, mlp="swiglu", norm="rms_norm", position="rotary", bias=False, kv_heads=2)
    yield "gpt2", dict(gpt, mlp="gelu_tanh")
    yield "gpt2", dict(gpt, mlp="gelu", tied=False, hidden=48)
    yield "llama", dict(llama, tied=False)
    yield "llama", dict(llama, rope_base=5e5, rope_scaling={"type": "llama3", "factor": 4.0, "context": 32})
    yield "mistral", dict(llama, attention={"type": "window", "window": 9})
    yield "qwen2", dict(llama, qkv_bias=True)
    yield "qwen3", dict(llama, qk_norm=True, head_dim=12, attentions=[
        {"layers": 1, "attention": {"type": "softmax"}}, {"layers": 1, "attention": {"type": "window", "window": 6}}])
    yield "heed", dict(llama, attention={"type": "power", "block": 4, "window": 2})
    yield "heed", dict(llama, attention={"type": "selective"})
    yield "heed", dict(gpt, position="alibi", attention={"type": "softmax", "sink": True})


def compare_own(base):
    text = base / "text.txt"
    text.write_text(pathlib.Path(__file__).read_text())
    for number, (expected, model) in enumerate(own_models()):
        name = f"own {number} ({expected})"
        folder = base / f"own-{number}"
        folder.mkdir()
        run, there, back, again = (folder / n for n in ("run", "there", "back", "again"))
        recipe = {"name": f"own-{number}", "task": {"type": "language_modeling"}, "model": model,
                  "data": {"type": "text", "files": [str(text)], "tokenizer": {"type": "bytes"}},
                  "train": {"steps": 3, "batch_size": 2, "eval_every": 0, "tensorboard": False}}
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
        heed("train", folder / "recipe.yaml", "--out", run)
        heed("export", run, there, "--format", "hf")
        config = json.loads((there / "config.json").read_text())
        report.check(f"{name}: of that model_type", config["model_type"] == expected, config["model_type"])
        heed("import", there, back)
        ours, theirs = weights_of(checkpoint_of(run)), weights_of(checkpoint_of(back))
        report.check(f"{name}: heed to hf to heed, weights bit for bit", same_tensors(ours, theirs))
        report.check(f"{name}: ... and recipe", recipe_of(run) == recipe_of(back))
        heed("export", back, again, "--format", "hf")
        report.check(f"{name}: ... and back, all files alike", all(
            (there / f.name).read_bytes() == f.read_bytes() for f in again.iterdir()))
        if expected == "heed":
            continue
        opened = transformers.AutoModelForCausalLM.from_pretrained(there, attn_implementation="eager").eval()
        case = Case(name, None, opened.config, rotary=expected != "gpt2")
        compare_outputs(case, "outputs as exported", opened, run, folder)


# --- requests that must fail --------------------------------------------------------------------------------------


def refused(name, source, wanted, base):
    refuses(name, wanted, base, source)


def compare_refusals(base):
    sound = base / "sound"
    t = transformers
    config = t.LlamaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                           intermediate_size=24)
    t.LlamaForCausalLM(config).save_pretrained(sound, max_shard_size="8KB")

    def changed(change=None, edit=None):
        folder = base / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(sound, folder)
        if edit:
            values = json.loads((folder / "config.json").read_text())
            edit(values)
            (folder / "config.json").write_text(json.dumps(values, indent=2))
        if change:
            change(folder)
        return folder

    shards = sorted(p.name for p in sound.glob("model-*.safetensors"))

    def index(folder, edit):
        path = folder / "model.safetensors.index.json"
        value = json.loads(path.read_text())
        edit(value["weight_map"])
        path.write_text(json.dumps(value))

    refused("a missing shard", changed(lambda f: (f / shards[1]).unlink()), shards[1], base)
    refused("an index that names a tensor its shard lacks",
            changed(lambda f: index(f, lambda m: m.update({"model.extra": shards[0]}))), "model.extra", base)
    refused("a tensor that is missing",
            changed(lambda f: index(f, lambda m: m.pop("model.norm.weight"))), "'model.norm.weight' is missing", base)
    refused("a tensor of another shape", changed(edit=lambda c: c.update(intermediate_size=25)), "expected", base)
    refused("weights of more blocks", changed(edit=lambda c: c.update(num_hidden_layers=1)), "no part of this", base)
    refused("an unknown model_type", changed(edit=lambda c: c.update(model_type="lama")), "did you mean 'llama'", base)
    refused("an unknown architecture", changed(edit=lambda c: c.update(architectures=["LlamaForTea"])),
            "known: LlamaForCausalLM", base)
    refused("a key that may change the mathematics", changed(edit=lambda c: c.update(attention_multiplier=0.5)),
            "'attention_multiplier'", base)
    refused("rotary scaling that heed has not", changed(edit=lambda c: c["rope_parameters"].update(rope_type="yarn")),
            "'yarn'", base)
    refused("another activation", changed(edit=lambda c: c.update(hidden_act="gelu")), "'hidden_act'", base)
    refused("a folder without config.json", base / "nothing", "no such folder", base)
    full = base / "full"
    full.mkdir()
    (full / "file").write_text("")
    run = heed("import", sound, full, fails=True)
    report.check("refused: a destination that holds something", run.returncode == 2 and "exists already" in run.stderr)


def main():
    args = arguments(__doc__).parse_args()
    heed.command = built(args.program)
    runs = [(case.name, lambda base, case=case: compare_case(case, base)) for case in [*cases(), *picture_cases()]]
    runs += [("own", compare_own), ("refused", compare_refusals)]
    with folder_of(args.keep) as base:
        run_each(runs, base, args.only)
    return report.finish(f"transformers {transformers.__version__}: models to heed and back")


if __name__ == "__main__":
    sys.exit(main())
