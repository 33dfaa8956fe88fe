#!/usr/bin/env python3
"""Compares the pictures that heed gives to a vision-language model with those of transformers' image processors, on random
pictures of odd sizes: the processor that uses Pillow, to the bit before scaling, and the one that uses torchvision, which
rounds otherwise.

  python3 tests/interop/pictures_check.py [build/test_interop] [--keep FOLDER]

Exits with 77 where a package is missing.
"""
import json
import subprocess
import sys

from interop_common import arguments, built, folder_of, needed, report

with needed():
    import numpy
    import PIL.Image
    import transformers
    from transformers.models.clip.image_processing_clip import CLIPImageProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil


def pictures(folder, rng):
    """(path, what it is): noise, slopes and edges of odd sizes; grey, with transparency, with a palette, as JPEG."""
    for height, width in ((37, 53), (53, 37), (24, 24), (25, 400), (400, 23), (211, 333), (8, 9)):
        noise = rng.integers(0, 256, (height, width, 3), dtype=numpy.uint8)
        y, x = numpy.mgrid[0:height, 0:width]
        slope = numpy.stack([x * 255 // max(width - 1, 1), y * 255 // max(height - 1, 1), (x + y) % 256], -1)
        edges = numpy.where(((x // 5 + y // 7) % 2)[..., None] == 0, 255, 0) * numpy.ones(3)
        for name, pixels in (("noise", noise), ("slope", slope), ("edges", edges)):
            path = folder / f"{name}-{height}x{width}.png"
            PIL.Image.fromarray(pixels.astype(numpy.uint8)).save(path)
            yield path, f"{name} of {height} x {width}"
    colour = PIL.Image.fromarray(rng.integers(0, 256, (61, 47, 3), dtype=numpy.uint8))
    clear = colour.copy()
    clear.putalpha(PIL.Image.fromarray(rng.integers(0, 256, (61, 47), dtype=numpy.uint8)))
    smooth = colour.resize((90, 71), PIL.Image.Resampling.BICUBIC)
    for name, image in (("grey", colour.convert("L")), ("transparent", clear), ("palette", colour.convert("P"))):
        image.save(folder / f"{name}.png")
        yield folder / f"{name}.png", name
    smooth.save(folder / "photo.jpg", quality=90)
    yield folder / "photo.jpg", "JPEG"


def configs():
    """(name, preprocessor_config.json, the model's [H, W, C])."""
    crop = lambda size: {"height": size, "width": size}
    yield "CLIP's", {"size": {"shortest_edge": 24}, "crop_size": crop(24)}, (24, 24, 3)
    for number, name in enumerate(("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")):
        yield name, {"size": {"shortest_edge": 28}, "crop_size": crop(24), "resample": number}, (24, 24, 3)
    yield "both sides", {"size": {"height": 20, "width": 31}, "do_center_crop": False, "image_mean": [0.5] * 3,
                         "image_std": [0.5] * 3}, (20, 31, 3)
    yield "enlarged", {"size": {"shortest_edge": 97}, "crop_size": crop(90), "do_normalize": False}, (90, 90, 3)
    yield "as bytes", {"size": {"shortest_edge": 24}, "crop_size": crop(24), "do_rescale": False,
                       "do_normalize": False}, (24, 24, 3)
    yield "scaled otherwise", {"size": {"shortest_edge": 24}, "crop_size": crop(24), "rescale_factor": 1 / 127.5,
                               "image_mean": [1.0] * 3, "image_std": [1.0, 0.5, 2.0]}, (24, 24, 3)


def on_white(picture):
    if "A" not in picture.getbands():
        return picture.convert("RGB")
    return PIL.Image.alpha_composite(PIL.Image.new("RGBA", picture.size, "white"), picture).convert("RGB")


def level_of(config):
    """What one level of 256 is in the values, of the channel where it is most."""
    factor = config.get("rescale_factor", 1 / 255) if config.get("do_rescale", True) else 1
    deviation = config.get("image_std", [0.26862954, 0.26130258, 0.27577711]) if config.get("do_normalize", True) else [1]
    return factor / min(deviation)


def by_pillow(config, path):
    """The values of the processor that uses Pillow, [H, W, C]."""
    with PIL.Image.open(path) as picture:
        if "height" in config["size"]:
            # Pillow 13 takes the rows first where that is less work, and rounds in another order.
            height, width = config["size"].values()
            picture = on_white(picture)
            for size in ((width, picture.height), (width, height)):
                picture = picture.resize(size, PIL.Image.Resampling.BICUBIC)
        return CLIPImageProcessorPil(**config)(picture, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)


def by_torchvision(config, path):
    with PIL.Image.open(path) as picture:
        return CLIPImageProcessor(**config)(picture, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)


def compare(name, config, cases):
    """Ours equal Pillow's; from torchvision's they are no further than Pillow's are, whose weights have more bits."""
    level = level_of(config)
    # Scaling and normalising in single precision: some roundings of values up to 8, of 2^-23 each.
    rounding = 8 * 4 * 2**-23 / level + 1e-4
    apart, ours_apart, packages_apart = 0.0, 0.0, 0.0
    for case in cases:
        ours, pillow = numpy.load(case["out"]).astype(float), by_pillow(config, case["file"])
        if ours.shape != pillow.shape:
            report.check(f"{name}: {case['what']}", False, f"{ours.shape} and {pillow.shape}")
            continue
        apart = max(apart, numpy.abs(ours - pillow).max() / level)
        if name not in ("box", "hamming", "nearest"):  # filters that it has not, or takes other pixels for
            torchvision = by_torchvision(config, case["file"])
            ours_apart = max(ours_apart, numpy.abs(ours - torchvision).max() / level)
            packages_apart = max(packages_apart, numpy.abs(pillow.astype(float) - torchvision).max() / level)
    report.check(f"{name}: {len(cases)} pictures as Pillow's", apart <= rounding, f"at most {apart:.2g} levels of 256")
    if packages_apart > 0:
        report.check(f"{name}: as near to torchvision's", ours_apart <= packages_apart + rounding,
                     f"{ours_apart:.2g} levels, Pillow's {packages_apart:.2g}")


def main():
    args = arguments(__doc__, "test_interop").parse_args()
    program = built(args.program)
    rng = numpy.random.default_rng(7)
    with folder_of(args.keep) as folder:
        files = list(pictures(folder, rng))
        cases = []
        for name, config, shape in configs():
            for path, what in files:
                cases.append({"file": str(path), "config": config, "shape": list(shape),
                              "out": str(folder / f"out-{len(cases)}.npy"), "of": name, "what": what})
        (folder / "pictures.json").write_text(json.dumps(cases))
        run = subprocess.run([program, str(folder), "--gtest_filter=PicturesInterop.*", "--gtest_brief=1"],
                             stdout=subprocess.PIPE, text=True)
        if run.returncode:
            print(run.stdout[-3000:])
            sys.exit("error: heed's half failed")
        for name, config, _ in configs():
            compare(name, config, [case for case in cases if case["of"] == name])
    return report.finish(f"transformers {transformers.__version__}, Pillow {PIL.__version__}: pictures of odd sizes")


if __name__ == "__main__":
    sys.exit(main())
