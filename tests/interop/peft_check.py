#!/usr/bin/env python3
"""Compares heed with the `peft` package on small random models: adapters (LoRA) that peft wrote, put onto an imported base
and merged or kept; adapters of runs that heed trained, opened by peft; and the round trips, bit for bit.

  python3 tests/interop/peft_check.py [build/heed] [--only NAME] [--keep FOLDER]

Exits with 77 where a package is missing.
"""
import json
import math
import pathlib
import shutil
import sys

from hf_check import (Case, PictureCase, PROMPT, VOCAB, checkpoint_of, decoder_inputs, outputs_of, probe, recipe_of, refuses,
                      same_tensors, tokenizer, weights_of)
from interop_common import arguments, built, folder_of, heed, needed, report, run_each

with needed():
    import peft
    import torch
    import transformers
    from safetensors.torch import load_file, save_file


def adapted(model, options, seed=5):
    """The model with an adapter whose matrices are all random, and whole modules that differ from the base's."""
    model = peft.get_peft_model(model, peft.LoraConfig(**options)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name or "modules_to_save" in name:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
                scale = 1 / math.sqrt(parameter.shape[-1])
                parameter.copy_((parameter if "modules_to_save" in name else 0) + 0.5 * scale * noise)
    return model


class Adapted:
    def __init__(self, case, options, updates, exact_back=True):
        self.case, self.options, self.updates, self.exact_back = case, options, updates, exact_back
        self.name = case.name


def cases():
    t = transformers
    small = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88,
                 max_position_embeddings=256, bos_token_id=None, eos_token_id=VOCAB - 1)
    decoder = dict(rotary=True, text=True)
    llama = lambda name, **more: Case(name, t.LlamaForCausalLM, t.LlamaConfig(**small, num_key_value_heads=2), **decoder,
                                      **more)
    seven = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    yield Adapted(llama("llama-q-v"), dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]), 3)
    yield Adapted(llama("llama-all"), dict(r=4, lora_alpha=6, target_modules=seven, lora_dropout=0.1), 12)
    yield Adapted(llama("llama-head"), dict(r=3, lora_alpha=3, target_modules=["k_proj", "lm_head", "down_proj"]), 7)
    # (A scale that is written as alpha / rank comes back so.)
    yield Adapted(llama("llama-rslora"), dict(r=4, lora_alpha=8, use_rslora=True, target_modules=["o_proj"]), 3, False)
    yield Adapted(llama("llama-patterns"), dict(
        r=4, lora_alpha=8, target_modules=["v_proj", "o_proj", "up_proj"], rank_pattern={"o_proj": 2, "layers.1.mlp.up_proj": 6},
        alpha_pattern={"o_proj": 5}), 9)
    yield Adapted(llama("llama-layers"), dict(r=2, lora_alpha=4, target_modules=["q_proj", "down_proj"],
                                              layers_to_transform=[0, 2]), 4)
    # Parts with scales of their own become one update with one scale.
    yield Adapted(llama("llama-scales"), dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"],
                                              alpha_pattern={"v_proj": 12}), 3, False)
    yield Adapted(llama("llama-saved"), dict(r=4, target_modules=["q_proj"], modules_to_save=["lm_head", "embed_tokens"]), 3)
    yield Adapted(llama("llama-f64", dtype=torch.float64), dict(r=4, lora_alpha=6, target_modules=seven), 12)
    yield Adapted(llama("llama-bf16", dtype=torch.bfloat16), dict(r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"]), 6)
    yield Adapted(Case("qwen3", t.Qwen3ForCausalLM, t.Qwen3Config(**small, num_key_value_heads=2, head_dim=16), **decoder),
                  dict(r=4, target_modules=["q_proj", "k_proj", "v_proj"]), 3)
    gpt2 = t.GPT2Config(vocab_size=VOCAB, n_positions=256, n_embd=48, n_layer=3, n_head=4, bos_token_id=VOCAB - 1,
                        eos_token_id=VOCAB - 1)
    yield Adapted(Case("gpt2", t.GPT2LMHeadModel, gpt2, text=True),
                  dict(r=4, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True), 12)
    bert = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88,
                max_position_embeddings=64)
    yield Adapted(Case("bert", t.BertModel, t.BertConfig(**bert)), dict(r=4, target_modules=["query", "value"]), 3)
    yield Adapted(Case("bert-classes", t.BertForSequenceClassification, t.BertConfig(**bert, num_labels=5)),
                  dict(r=4, target_modules=["query", "key", "value", "attention.output.dense"], task_type="SEQ_CLS"), 6)
    vit = t.ViTConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88, image_size=24,
                      patch_size=6, num_labels=7)
    yield Adapted(Case("vit", t.ViTForImageClassification, vit, images=True),
                  dict(r=4, target_modules=["q_proj", "v_proj", "o_proj", "fc1"], modules_to_save=["classifier"]), 9)

    text = dict(small, hidden_size=40, intermediate_size=72)
    llava = t.LlavaConfig(vision_config=t.CLIPVisionConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4,
                                                           intermediate_size=88, image_size=24, patch_size=8),
                          text_config=t.LlamaConfig(**text), image_token_index=VOCAB - 4, image_seq_length=9)
    yield Adapted(PictureCase("llava", t.LlavaForConditionalGeneration, llava, rotary=True),
                  dict(r=4, target_modules=["q_proj", "k_proj", "v_proj", "linear_1", "fc2"]), 3 + 3 + 1 + 3)


def compare(name, ours, theirs, bound):
    largest = max(1.0, theirs.abs().max().item())
    error = (ours.double() - theirs.double()).abs().max().item() if ours.shape == theirs.shape else math.inf
    report.check(name, error <= bound(largest), f"{error:.1e} of {largest:.1f}, bound {bound(largest):.1e}")


def compare_logits(name, case, model, run, folder):
    """heed's merged weights and peft's adapter beside its base, in the dtype that both have. (In bf16 peft rounds every
    activation and heed none; there the merged weights are compared.)"""
    if case.dtype == torch.bfloat16:
        return
    dtype = {torch.float64: "f64"}.get(case.dtype, "f32")
    inputs = case.inputs()
    given = {k: v.to(case.dtype) if v.is_floating_point() else v for k, v in inputs.items()}
    theirs = outputs_of(model, given)
    ours = probe(run, decoder_inputs(inputs), dtype, folder)[-len(theirs):]
    for a, b in zip(ours, theirs):
        compare(name, a, b, lambda largest: case.tolerance(dtype, largest))


def text_of(case, model, run):
    prompt = tokenizer().encode(PROMPT).ids
    answer = json.loads(heed("generate", run, "--prompt", PROMPT, "--greedy", "--max-tokens", 32, "--json"))
    with torch.no_grad():
        ids = model.generate(input_ids=torch.tensor([prompt]), max_new_tokens=32, do_sample=False,
                             eos_token_id=VOCAB - 1, pad_token_id=0)[0, len(prompt):].tolist()
    report.check(f"{case.name}: greedy text of {len(ids)} tokens, the adapter apart on both sides", answer["ids"] == ids,
                 "" if answer["ids"] == ids else f"{answer['ids']} and {ids}")


def compare_case(this, base):
    case = this.case
    folder = base / case.name
    folder.mkdir()
    source, adapter, kept, merged, back, again, whole = (
        folder / n for n in ("source", "adapter", "kept", "merged", "back", "again", "whole"))
    model = adapted(case.save(source), this.options)
    model.save_pretrained(adapter)
    answer = json.loads(heed("import", source, kept, "--adapter", adapter, "--json"))
    report.check(f"{case.name}: {this.updates} layers are updated", answer["updates"] == this.updates,
                 str(answer["updates"]))
    heed("import", source, merged, "--adapter", adapter, "--merge")
    compare_logits(f"{case.name}: peft's outputs and heed's, merged", case, model, merged, folder)
    if case.text and case.dtype == torch.float32:
        text_of(case, model, kept)
    # Kept, then merged by the export: what transformers makes of it.
    heed("export", kept, whole, "--format", "hf")
    opened = case.open(whole)
    given = {k: v.to(case.dtype) if v.is_floating_point() else v for k, v in case.inputs().items()}
    if case.dtype in (torch.float32, torch.float64):
        dtype = "f64" if case.dtype == torch.float64 else "f32"
        for a, b in zip(outputs_of(opened, given), outputs_of(model, given)):
            compare(f"{case.name}: kept, exported and opened by transformers", a, b,
                    lambda largest: case.tolerance(dtype, largest))
    # Merged on both sides.
    state = model.merge_and_unload().state_dict()
    heed("export", merged, folder / "merged-hf", "--format", "hf")
    ours = case.open(folder / "merged-hf").state_dict()
    unit = {torch.float64: 2.0**-53, torch.bfloat16: 2.0**-8}.get(case.dtype, 2.0**-24)
    # One rounding of the sum, those of the product's sum of at most 8 terms, and of alpha / rank.
    worst = max(((ours[k].double() - state[k].double()).abs() / (state[k].double().abs() + 1)).max().item() for k in ours)
    report.check(f"{case.name}: weights merged by both", worst <= 12 * unit and ours.keys() == state.keys(),
                 f"{worst / unit:.1f} units")
    # Back to peft, and to heed again.
    heed("export", kept, back, "--format", "peft")
    first, second = load_file(adapter / "adapter_model.safetensors"), load_file(back / "adapter_model.safetensors")
    first = {k: v for k, v in first.items() if ".base_layer." not in k}  # a copy of the base's
    if this.exact_back:
        report.check(f"{case.name}: peft to heed to peft, bit for bit", same_tensors(first, second),
                     str(first.keys() ^ second.keys()) if first.keys() != second.keys() else "")
    reopened = peft.PeftModel.from_pretrained(case.open(source), back).eval()
    for a, b in zip(outputs_of(reopened, given), outputs_of(peft.PeftModel.from_pretrained(case.open(source), adapter).eval(), given)):
        compare(f"{case.name}: ... with equal outputs in peft", a, b, lambda largest: case.tolerance(
            "f64" if case.dtype == torch.float64 else "f32", largest) if case.dtype != torch.bfloat16 else 2.0**-7 * largest)
    heed("import", source, again, "--adapter", back)
    report.check(f"{case.name}: heed to peft to heed, weights bit for bit",
                 same_tensors(weights_of(checkpoint_of(kept)), weights_of(checkpoint_of(again))))
    report.check(f"{case.name}: ... and recipe", recipe_of(kept)["lora"] == recipe_of(again)["lora"])


# --- runs of heed's -------------------------------------------------------------------------------------------------


def trained():
    yield "qkv", "{rank: 4, alpha: 8, targets: ['blocks.*.attn.*']}"
    yield "all", "{rank: 3, alpha: 6, dropout: 0.1, targets: ['blocks.*'], also: [norm]}"
    yield "groups", ("{rank: 4, alpha: 8, targets: ['blocks.*.attn.*'], "
                     "groups: [{targets: ['blocks.1.attn.out'], rank: 2, alpha: 8}]}")
    yield "some", "{rank: 2, targets: ['blocks.0.mlp.*', 'blocks.2.attn.qkv']}"


def compare_trained(base):
    t = transformers
    small = dict(vocab_size=VOCAB, hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=88,
                 max_position_embeddings=128, eos_token_id=VOCAB - 1)
    gpt2 = t.GPT2Config(vocab_size=VOCAB, n_positions=128, n_embd=48, n_layer=3, n_head=4, bos_token_id=VOCAB - 1,
                        eos_token_id=VOCAB - 1)
    text = base / "text.txt"
    text.write_text(pathlib.Path(__file__).read_text())
    for case in (Case("trained-llama", t.LlamaForCausalLM, t.LlamaConfig(**small, num_key_value_heads=2), rotary=True, text=True),
                 Case("trained-gpt2", t.GPT2LMHeadModel, gpt2, text=True)):
        folder = base / case.name
        folder.mkdir()
        source, start = folder / "source", folder / "start"
        case.save(source)
        heed("import", source, start)
        for name, lora in trained():
            run, adapter, again, merged = (folder / f"{name}-{n}" for n in ("run", "adapter", "again", "merged"))
            heed("train", start / "recipe.yaml", f"train.from={start}", f"data.files=[{text}]", f"lora={lora}", "train.steps=6",
                 "train.batch_size=2", "train.eval_every=0", "train.ema=0", "optimizer.lr=0.02", "schedule.warmup_steps=0", "--out", run)
            heed("export", run, adapter, "--format", "peft")
            model = peft.PeftModel.from_pretrained(case.open(source), adapter).eval()
            heed("import", source, merged, "--adapter", adapter, "--merge")
            compare_logits(f"{case.name} {name}: peft's outputs and heed's", case, model, merged, folder)
            text_of(case, model, run)
            heed("import", source, again, "--adapter", adapter)
            report.check(f"{case.name} {name}: heed to peft to heed, weights bit for bit",
                         same_tensors(weights_of(checkpoint_of(run)), weights_of(checkpoint_of(again))))
            saved = load_file(adapter / "adapter_model.safetensors")
            moved = [k for k, v in saved.items() if k.endswith("lora_B.weight") and v.abs().max() > 0]
            report.check(f"{case.name} {name}: the training moved the updates", len(moved) > 0, f"{len(moved)} matrices")
        heed("train", again / "recipe.yaml", f"train.from={again}", f"data.files=[{text}]", "train.steps=1", "train.batch_size=2",
             "train.eval_every=0", "optimizer.lr=0.001", "--out", folder / "on")
        now, then = weights_of(checkpoint_of(folder / "on")), weights_of(checkpoint_of(again))
        report.check(f"{case.name}: an imported adapter trains on from where it was", all(
            torch.equal(now[k], then[k]) or (".lora." in k and (now[k] - then[k]).abs().max() < 0.01) for k in then) and any(
                not torch.equal(now[k], then[k]) for k in then))


# --- requests that must fail ----------------------------------------------------------------------------------------


def compare_refusals(base):
    t = transformers
    source, adapter = base / "sound", base / "sound-adapter"
    config = t.LlamaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24)
    model = t.LlamaForCausalLM(config)
    model.save_pretrained(source)
    adapted(model, dict(r=2, target_modules=["q_proj", "down_proj"])).save_pretrained(adapter)

    def refused(name, wanted, edit=None, change=None, options=None, more=()):
        folder = base / "changed"
        shutil.rmtree(folder, ignore_errors=True)
        if options is None:
            shutil.copytree(adapter, folder)
        else:
            peft.get_peft_model(t.LlamaForCausalLM(config), options).save_pretrained(folder)
        if edit:
            values = json.loads((folder / "adapter_config.json").read_text())
            edit(values)
            (folder / "adapter_config.json").write_text(json.dumps(values, indent=2))
        if change:
            tensors = load_file(folder / "adapter_model.safetensors")
            change(tensors)
            tensors = {k: v.clone() for k, v in tensors.items()}
            save_file(tensors, folder / "adapter_model.safetensors")
        refuses(name, wanted, base, source, "--adapter", folder, *more)

    key = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    lora = lambda **more: peft.LoraConfig(r=2, **{"target_modules": ["q_proj"], **more})
    refused("DoRA", "'use_dora'", options=lora(use_dora=True))
    refused("biases", "'bias'", edit=lambda c: c.update(bias="all"))
    refused("biases of the adapter", "'lora_bias'", options=lora(lora_bias=True))
    refused("PiSSA's start", "'init_lora_weights'", edit=lambda c: c.update(init_lora_weights="pissa"))
    refused("another kind of adapter", "'peft_type'", options=peft.IA3Config(target_modules=["k_proj"], feedforward_modules=[]))
    refused("an embedding", "embedding", options=lora(target_modules=["embed_tokens"]))
    refused("a regular expression", "pattern", edit=lambda c: c.update(alpha_pattern={"q_pro[jk]": 3}))
    refused("a key that is not known", "'lora_gamma'", edit=lambda c: c.update(lora_gamma=1))
    refused("another rank", "expected", edit=lambda c: c.update(r=3))
    refused("a rank that is none", "a rank of 0", edit=lambda c: c.update(r=0))
    refused("one matrix of two", "one of lora_A and lora_B", change=lambda w: w.pop(key))
    refused("a layer that the model has not", "belongs to no linear layer",
            change=lambda w: w.update({key.replace("layers.0", "layers.7"): w[key]}))
    refused("a whole tensor that no module saves", "'modules_to_save'",
            change=lambda w: w.update({"base_model.model.lm_head.weight": torch.zeros(60, 16)}))
    refused("integers", "no weights", change=lambda w: w.update({key: w[key].to(torch.int32)}))
    run = heed("import", source, base / "refused", "--merge", fails=True)
    report.check("refused: --merge without an adapter", run.returncode == 2 and "--adapter" in run.stderr)
    heed("import", source, base / "plain")
    run = heed("export", base / "plain", base / "none", "--format", "peft", fails=True)
    report.check("refused: an export of a run without updates", run.returncode == 2 and "lora.rank" in run.stderr)


def main():
    args = arguments(__doc__).parse_args()
    heed.command = built(args.program)
    runs = [(case.name, lambda base, case=case: compare_case(case, base)) for case in cases()]
    runs += [("trained", compare_trained), ("refused", compare_refusals)]
    with folder_of(args.keep) as base:
        run_each(runs, base, args.only)
    return report.finish(f"peft {peft.__version__} on transformers {transformers.__version__}: adapters")


if __name__ == "__main__":
    sys.exit(main())
