// LLaVA (Liu et al., arXiv 2304.08485; version 1.5: arXiv 2310.03744): a language model that reads
// images. An image's states, projected to the decoder's width, stand in the sequence where the
// image token does, once for each of them:
//   e = embed[ids];   e[ids == image_token] = projector(vision(images))      in order
//   logits = decoder(e)
//   projector(x) = W2 gelu(W1 x + b1) + b2
#pragma once

#include "nn/layers/linear.h"
#include "nn/models/clip_vision.h"
#include "nn/models/gpt.h"
#include "nn/models/image_reader.h"

namespace heed::nn {

struct LlavaOptions {
  int64_t vocab = 0;
  int64_t context = 0;
  int64_t image_token = 32000;
  std::string projector = "gelu";
  bool projector_bias = true;
  ClipVisionOptions vision;
  GptOptions text;

  void options(Options& o);
};

/// Reads a config; `vocab` and `context` are the decoder's, which it may leave out.
LlavaOptions read_llava_options(const Config& config);

/// The config checked and with every default filled in, those of its parts included.
Config resolve_llava(const Config& config);

/// The two layers between the tower and the decoder.
struct LlavaProjector : Module {
  LlavaProjector(int64_t in, int64_t out, const std::string& activation, bool bias);

  /// x [..., in] -> [..., out].
  Tensor forward(const Tensor& x);

  Activation activation;
  Linear up, down;
};

class Llava : public LanguageModel, public ImageReader {
 public:
  explicit Llava(const LlavaOptions& options);

  int64_t vocab() const override { return text.vocab(); }
  int64_t context() const override { return text.context(); }
  bool extrapolates() const override { return text.extrapolates(); }
  Config config() const override;

  /// Of text alone; an image token in it is an error.
  Tensor forward(const Tensor& ids, const PackedDocuments& documents = {}) override;
  Tensor loss(const Tensor& ids, const Tensor& targets,
              const PackedDocuments& documents = {}) override;
  Tensor loss_rows(const Tensor& ids, const Tensor& targets,
                   const PackedDocuments& documents = {}) override;
  std::string cannot_pack() const override { return text.cannot_pack(); }
  std::unique_ptr<DecodeState> start() const override { return text.start(); }
  Tensor decode(const Tensor& ids, DecodeState& state) override;
  double flops_per_token(int64_t tokens) const override { return text.flops_per_token(tokens); }

  Tensor forward_with(const Tensor& ids, const Tensor& images) override;
  Tensor loss_with(const Tensor& ids, const Tensor& targets, const Tensor& images) override;
  double image_flops() const override;
  int64_t image_token() const override { return options_.image_token; }
  int64_t image_tokens() const override { return vision.tokens(); }
  Shape image_shape() const override;
  Tensor decode_with(const Tensor& ids, const Tensor& images, DecodeState& state) override;

  ClipVision vision;
  LlavaProjector projector;
  Gpt text;

 private:
  /// ids as the decoder takes them: as they are, or embedded, with the images' states.
  Tensor merged(const Tensor& ids, const Tensor& images);

  LlavaOptions options_;
};

}  // namespace heed::nn
