#include "nn/models/llava.h"

#include <algorithm>

#include "autograd/ops/compare.h"
#include "autograd/ops/index.h"
#include "autograd/ops/view.h"
#include "nn/defaults.h"
#include "nn/layers/mlp.h"

namespace heed::nn {
namespace {

const LlavaOptions& checked(const LlavaOptions& o) {
  if (o.text.channels != 1) fail_request("model llava: the decoder has one id a token");
  if (o.image_token >= o.text.vocab) {
    fail_request("model llava: image_token is {}, and the decoder has {} ids", o.image_token,
                 o.text.vocab);
  }
  return o;
}

// The parts' own defaults too.
Config with_every_default(const Config& given, const LlavaOptions& options) {
  Config whole = with_defaults(given, options);
  const auto part = [&](const char* name) {
    const Config* own = given.find(name);
    return own == nullptr ? Config::map() : *own;
  };
  whole.set("vision", with_defaults(part("vision"), options.vision));
  Config text = with_defaults(part("text"), options.text);
  for (const auto& [key, value] :
       {std::pair{"vocab", options.vocab}, std::pair{"context", options.context}}) {
    whole.set(key, value);
    text.set(key, value);
  }
  whole.set("text", text);
  return whole;
}

}  // namespace

void LlavaOptions::options(Options& o) {
  o.field("vocab", vocab, "number of token ids; 0 takes the decoder's, or the tokenizer's",
          {.min = 0});
  o.field("context", context, "tokens in a training sequence; 0 takes the decoder's", {.min = 0});
  o.field("image_token", image_token, "the id that stands for a state of an image", {.min = 0});
  o.field("projector", projector, "activation between the two layers behind the tower",
          {.one_of = {"gelu", "gelu_tanh", "relu", "silu"}});
  o.field("projector_bias", projector_bias, "biases in these two layers");
  o.field("vision", vision, "the image tower");
  o.field("text", text, "the decoder: options of `gpt`");
}

LlavaOptions read_llava_options(const Config& config) {
  auto options = read_options<LlavaOptions>(config, "model llava");
  // A preset of the decoder is read as gpt reads it.
  if (const Config* text = config.find("text"); text != nullptr && text->is_map()) {
    options.text = read_gpt_options(*text);
    if (text->has("context") && options.context == 0) options.context = options.text.context;
  }
  if (options.vocab == 0) options.vocab = options.text.vocab;
  if (options.context == 0) options.context = options.text.context;
  options.text.vocab = options.vocab;
  options.text.context = options.context;
  return options;
}

Config resolve_llava(const Config& config) {
  return with_every_default(config, read_llava_options(config));
}

LlavaProjector::LlavaProjector(int64_t in, int64_t out, const std::string& name, bool bias)
    : activation(activation_from_name(name)), up(in, out, bias), down(out, out, bias) {
  children({{"up", up}, {"down", down}});
}

Tensor LlavaProjector::forward(const Tensor& x) { return down(up.forward(x, activation)); }

Llava::Llava(const LlavaOptions& o)
    : vision(checked(o).vision),
      projector(o.vision.dim, o.text.dim, o.projector, o.projector_bias),
      text(o.text),
      options_(o) {
  children({{"vision", vision}, {"projector", projector}, {"text", text}});
}

Config Llava::config() const {
  return with_every_default(Config(Config::Map{{"type", "llava"}}), options_);
}

Shape Llava::image_shape() const {
  const ClipVisionOptions& o = options_.vision;
  return {o.height, o.width, o.channels};
}

double Llava::image_flops() const {
  const auto states = static_cast<double>(vision.tokens());
  const auto weights =
      static_cast<double>(projector.up.weight.numel() + projector.down.weight.numel());
  return vision.flops() + 2.0 * states * weights;
}

Tensor Llava::merged(const Tensor& ids, const Tensor& images) {
  HEED_CHECK(ids.rank() == 2 && ids.numel() > 0, "llava: ids must be [B, N], got {}", ids);
  const std::vector<int64_t> all = ids.to_vector<int64_t>();
  const int64_t places = std::count(all.begin(), all.end(), options_.image_token);
  const int64_t states = images.defined() ? images.size(0) * vision.tokens() : 0;
  HEED_CHECK(places == states,
             "llava: {} image tokens in the ids, and the images have {} states ({} each)", places,
             states, vision.tokens());
  if (!images.defined()) return ids;
  const Tensor rows = reshape(projector.forward(vision.forward(images)), {states, -1});
  return masked_put_rows(text.embed(ids), eq(ids, static_cast<double>(options_.image_token)), rows);
}

Tensor Llava::forward(const Tensor& ids, const PackedDocuments& documents) {
  return text.forward(merged(ids, {}), documents);
}

Tensor Llava::loss(const Tensor& ids, const Tensor& targets, const PackedDocuments& documents) {
  return text.loss(merged(ids, {}), targets, documents);
}

Tensor Llava::loss_rows(const Tensor& ids, const Tensor& targets,
                        const PackedDocuments& documents) {
  return text.loss_rows(merged(ids, {}), targets, documents);
}

Tensor Llava::forward_with(const Tensor& ids, const Tensor& images) {
  return text.forward(merged(ids, images));
}

Tensor Llava::loss_with(const Tensor& ids, const Tensor& targets, const Tensor& images) {
  return text.loss(merged(ids, images), targets);
}

Tensor Llava::decode(const Tensor& ids, DecodeState& state) {
  return text.decode(merged(ids, {}), state);
}

Tensor Llava::decode_with(const Tensor& ids, const Tensor& images, DecodeState& state) {
  const NoGrad no_grad;
  return text.decode(merged(ids, images), state);
}

}  // namespace heed::nn
