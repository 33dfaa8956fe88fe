// What each kind of model takes and gives.
#include <algorithm>
#include <cmath>

#include "core/random.h"
#include "kernels/copy/copy.h"
#include "nn/models/classifier.h"
#include "nn/models/encoder.h"
#include "nn/models/encoder_decoder.h"
#include "nn/models/gpt.h"
#include "nn/models/image_model.h"
#include "nn/models/language_model.h"
#include "nn/models/llava.h"
#include "nn/models/recommender.h"
#include "recipes/engine/onnx/export.h"

namespace heed::recipes::onnx {
namespace {

// Random examples of an input: the two are drawn by different keys.
class Examples {
 public:
  explicit Examples(Model& model) : model_(model) {}

  /// Ids in [first, end).
  void ids(const std::string& name, const Shape& shape, int64_t first, int64_t end) {
    add(name, [&](const RandomStream& draws) {
      std::vector<int64_t> values;
      for (int64_t i = 0; i < shape.numel(); ++i)
        values.push_back(first + static_cast<int64_t>(draws.word64(static_cast<uint64_t>(i)) %
                                                      static_cast<uint64_t>(end - first)));
      return Tensor::from(values, shape);
    });
  }
  /// Rows of ids in [0, vocab), in which `count` in a run are `token`, and no other: the first
  /// ones, or in the second example the last ones.
  void ids_about_images(const std::string& name, const Shape& shape, int64_t vocab, int64_t token,
                        int64_t count) {
    ids(name, shape, 0, vocab - 1);
    Example& example = model_.inputs.back();
    const int64_t tokens = shape[1];
    for (const auto& [tensor, first] :
         {std::pair{&example.first, int64_t{0}}, std::pair{&example.second, tokens - count}}) {
      auto* values = tensor->data<int64_t>();
      for (int64_t i = 0; i < shape.numel(); ++i) {
        const int64_t at = i % tokens;
        if (values[i] >= token) ++values[i];  // the others' ids
        if (at >= first && at < first + count) values[i] = token;
      }
    }
  }
  /// Rows of items, shorter in the second example, 0 behind.
  void items(const std::string& name, const Shape& shape, int64_t items) {
    ids(name, shape, 1, items + 1);
    auto* second = model_.inputs.back().second.data<int64_t>();
    const int64_t places = shape[1];
    for (int64_t b = 0; b < shape[0]; ++b)
      for (int64_t i = (places + 1) / 2; i < places; ++i) second[b * places + i] = 0;
  }
  /// All tokens count in the first example, half of them in the second.
  void lengths(const std::string& name, int64_t batch, int64_t tokens) {
    const auto all = [batch](int64_t value) {
      return Tensor::full({batch}, static_cast<double>(value), DType::i64);
    };
    model_.inputs.push_back({name, all(tokens), all((tokens + 1) / 2)});
  }
  /// Numbers in [low, high).
  void numbers(const std::string& name, const Shape& shape, double low, double high) {
    add(name, [&](const RandomStream& draws) {
      std::vector<float> values;
      for (int64_t i = 0; i < shape.numel(); ++i) {
        const double unit = static_cast<double>(draws.uniform(static_cast<uint64_t>(i)));
        values.push_back(static_cast<float>(low + (high - low) * unit));
      }
      return Tensor::from(values, shape);
    });
  }

 private:
  template <class Draw>
  void add(const std::string& name, Draw&& draw) {
    const RandomKey key{1, hash_name("onnx/" + name), 0};
    model_.inputs.push_back({name, draw(RandomStream(key.derive(uint64_t{0}))),
                             draw(RandomStream(key.derive(uint64_t{1})))});
  }

  Model& model_;
};

Tensor given(const nn::Inputs& inputs, const char* name) {
  const auto found = inputs.find(name);
  return found == inputs.end() ? Tensor() : found->second;
}

int64_t one_of(int64_t wanted, int64_t own) { return wanted > 0 ? wanted : own; }

void language_model(Model& m, nn::LanguageModel& model, const Sizes& sizes) {
  Shape shape{sizes.batch, one_of(sizes.tokens, model.context())};
  const auto* gpt = dynamic_cast<const nn::Gpt*>(&model);
  if (gpt != nullptr && gpt->options().channels > 1) shape.push_back(gpt->options().channels);
  Examples(m).ids("ids", shape, 0, model.vocab());
  m.outputs = {"logits"};
  m.forward = [&model](const nn::Inputs& inputs) {
    return std::vector<Tensor>{model.forward(inputs.at("ids"))};
  };
}

// LLaVA: an image for each row, wherever its tokens lie in it.
void reader_of_images(Model& m, nn::Llava& model, const Sizes& sizes) {
  const int64_t tokens = one_of(sizes.tokens, model.context()), states = model.image_tokens();
  if (tokens < states) {
    fail_request("onnx: {} tokens, and an image is {} of them; give more (--tokens)", tokens,
                 states);
  }
  Shape images{sizes.batch};
  for (const int64_t extent : model.image_shape()) images.push_back(extent);
  Examples examples(m);
  examples.ids_about_images("ids", {sizes.batch, tokens}, model.vocab(), model.image_token(),
                            states);
  examples.numbers("images", images, -2, 2);
  m.outputs = {"logits"};
  m.forward = [&model](const nn::Inputs& inputs) {
    return std::vector<Tensor>{model.forward_with(inputs.at("ids"), inputs.at("images"))};
  };
}

void encoder(Model& m, nn::Encoder& model, const Sizes& sizes) {
  const nn::EncoderOptions& o = model.options();
  const int64_t tokens = one_of(sizes.tokens, o.context);
  Examples examples(m);
  examples.ids("ids", {sizes.batch, tokens}, 0, o.vocab);
  examples.lengths("lengths", sizes.batch, tokens);
  if (o.token_types > 1) examples.ids("token_types", {sizes.batch, tokens}, 0, o.token_types);
  m.outputs = {"hidden"};
  const bool pools = model.pooler || model.classifier;
  if (pools) m.outputs.emplace_back("pooled");
  if (model.classifier) m.outputs.emplace_back("logits");
  if (model.mlm_transform) m.outputs.emplace_back("token_logits");
  m.forward = [&model, pools](const nn::Inputs& inputs) {
    const Tensor lengths = given(inputs, "lengths");
    const Tensor hidden = model.features(inputs.at("ids"), lengths, given(inputs, "token_types"));
    std::vector<Tensor> results{hidden};
    if (pools) results.push_back(model.pooled(hidden, lengths));
    if (model.classifier) results.push_back(model.classify(results.back()));
    if (model.mlm_transform) results.push_back(model.mlm_logits(hidden));
    return results;
  };
}

void classifier(Model& m, nn::Classifier& model, const Sizes& sizes) {
  const nn::ClassifierInput input = model.input();
  Examples examples(m);
  m.outputs = {"logits"};
  if (input.kind == nn::ClassifierInput::Kind::tokens) {
    const int64_t tokens = one_of(sizes.tokens, input.context);
    examples.ids("ids", {sizes.batch, tokens}, 0, input.vocab);
    examples.lengths("lengths", sizes.batch, tokens);
    m.forward = [&model](const nn::Inputs& inputs) {
      return std::vector<Tensor>{model.forward(inputs.at("ids"), inputs.at("lengths"))};
    };
    return;
  }
  if (input.kind == nn::ClassifierInput::Kind::features) {
    const Shape shape = input.vectors > 0 ? Shape{sizes.batch, input.vectors, input.dim}
                                          : Shape{sizes.batch, input.dim};
    examples.numbers("features", shape, -1, 1);
    m.forward = [&model](const nn::Inputs& inputs) {
      return std::vector<Tensor>{model.forward(inputs.at("features"))};
    };
    return;
  }
  const int64_t height = one_of(sizes.height, input.height);
  const int64_t width = one_of(sizes.width, input.width);
  if (height <= 0 || width <= 0) {
    fail_request("onnx: the model takes images of any size: give one (--height, --width)");
  }
  examples.numbers("x", {sizes.batch, height, width, input.channels}, -1, 1);
  m.forward = [&model](const nn::Inputs& inputs) {
    return std::vector<Tensor>{model.forward(inputs.at("x"))};
  };
}

void image_model(Model& m, nn::ImageModel& model, const Sizes& sizes) {
  const nn::ImageGeometry g = model.geometry();
  const int64_t height = one_of(sizes.height, g.height), width = one_of(sizes.width, g.width);
  if (height <= 0 || width <= 0) {
    fail_request("onnx: the model takes images of any size: give one (--height, --width)");
  }
  Shape shape{sizes.batch};
  if (g.frames > 0) shape.push_back(g.frames);
  for (const int64_t extent : {height, width, g.channels}) shape.push_back(extent);
  Examples examples(m);
  examples.numbers("x", shape, -1, 1);
  if (g.timed) examples.numbers("times", {sizes.batch}, 0, 1000);
  if (g.classes > 0) examples.ids("labels", {sizes.batch}, 0, g.classes);
  m.outputs = {"y"};
  m.forward = [&model](const nn::Inputs& inputs) {
    return std::vector<Tensor>{
        model.forward(inputs.at("x"), given(inputs, "times"), given(inputs, "labels"))};
  };
}

void recommender(Model& m, nn::Recommender& model, const Sizes& sizes) {
  Examples(m).items("items", {sizes.batch, one_of(sizes.tokens, model.context())}, model.items());
  m.outputs = {"scores"};
  m.forward = [&model](const nn::Inputs& inputs) {
    return std::vector<Tensor>{model.forward(inputs.at("items"))};
  };
}

void encoder_decoder(Model& m, nn::EncoderDecoder& model, const Sizes& sizes) {
  const nn::EncoderDecoderOptions& o = model.options();
  const int64_t tokens = one_of(sizes.tokens, o.context);
  Examples examples(m);
  examples.ids("ids", {sizes.batch, tokens}, 0, o.vocab);
  examples.lengths("lengths", sizes.batch, tokens);
  examples.ids("decoder_ids", {sizes.batch, tokens}, 0, o.vocab);
  m.outputs = {"logits"};
  m.forward = [&model](const nn::Inputs& inputs) {
    return std::vector<Tensor>{
        model.forward(inputs.at("ids"), inputs.at("decoder_ids"), inputs.at("lengths"))};
  };
}

/// Other values of the same kind.
Tensor another(const std::string& name, const Tensor& x) {
  if (is_floating(x.dtype())) {
    std::vector<double> values = x.to_vector<double>();
    std::reverse(values.begin(), values.end());
    double shift = 0.1;
    for (double& value : values) value = 0.8 * value + (shift = -shift);
    return kernels::cast(Tensor::from(values, x.shape()), x.dtype());
  }
  if (x.dtype() != DType::i64 && x.dtype() != DType::i32) return x;
  std::vector<int64_t> values = x.to_vector<int64_t>();
  if (name == "lengths") {
    for (int64_t& value : values) value = std::max<int64_t>(value - 1, 1);
  } else {  // 0 may stand for nothing, behind the others
    std::vector<int64_t> others;
    for (const int64_t value : values)
      if (value != 0) others.push_back(value);
    std::reverse(others.begin(), others.end());
    const bool same = std::equal(others.begin(), others.end(), others.rbegin());
    size_t next = 0;
    for (int64_t& value : values)
      if (value != 0) value = same ? std::max<int64_t>(value - 1, 1) : others[next++];
  }
  if (x.dtype() == DType::i64) return Tensor::from(values, x.shape());
  return Tensor::from(std::vector<int32_t>(values.begin(), values.end()), x.shape());
}

}  // namespace

Model model_of(nn::Module& module, const Config& config, const Sizes& sizes) {
  Model m{module, {}, {}, {}, config};
  HEED_CHECK(sizes.batch > 0, "onnx: a batch of {}", sizes.batch);
  if (auto* llava = dynamic_cast<nn::Llava*>(&module)) {
    reader_of_images(m, *llava, sizes);
  } else if (auto* lm = dynamic_cast<nn::LanguageModel*>(&module)) {
    language_model(m, *lm, sizes);
  } else if (auto* e = dynamic_cast<nn::Encoder*>(&module)) {
    encoder(m, *e, sizes);
  } else if (auto* c = dynamic_cast<nn::Classifier*>(&module)) {
    classifier(m, *c, sizes);
  } else if (auto* i = dynamic_cast<nn::ImageModel*>(&module)) {
    image_model(m, *i, sizes);
  } else if (auto* r = dynamic_cast<nn::Recommender*>(&module)) {
    recommender(m, *r, sizes);
  } else if (auto* s = dynamic_cast<nn::EncoderDecoder*>(&module)) {
    encoder_decoder(m, *s, sizes);
  } else {
    fail_request("onnx: what this kind of model takes is not known");
  }
  return m;
}

Model model_of(const nn::ModuleEntry& entry, nn::Module& module, const nn::Inputs& inputs) {
  Model m{module, {}, {}, {}, Config(Config::Map{{"module", entry.name}})};
  for (const auto& [name, tensor] : inputs)
    m.inputs.push_back({name, tensor, another(name, tensor)});
  m.forward = [&entry, &module](const nn::Inputs& given_inputs) {
    return entry.forward(module, given_inputs);
  };
  return m;
}

}  // namespace heed::recipes::onnx
