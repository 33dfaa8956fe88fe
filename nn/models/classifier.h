// What the classification task asks of a model, whichever it is: images, token sequences or another
// model's features in, logits out.
#pragma once

#include <memory>

#include "core/config.h"
#include "nn/module.h"

namespace heed::nn {

/// The geometry of a classifier's input.
struct ClassifierInput {
  enum class Kind { images, tokens, features };
  Kind kind = Kind::images;
  int64_t height = 0, width = 0, channels = 0;  ///< images
  int64_t vocab = 0, context = 0;  ///< tokens: ids below vocab, at most context of them
  int64_t dim = 0, vectors = 0;    ///< features: of a vector; vectors of an example, 0: one alone

  static ClassifierInput images(int64_t height, int64_t width, int64_t channels) {
    return {Kind::images, height, width, channels, 0, 0};
  }
  static ClassifierInput tokens(int64_t vocab, int64_t context) {
    return {Kind::tokens, 0, 0, 0, vocab, context};
  }
  static ClassifierInput features(int64_t dim, int64_t vectors) {
    return {Kind::features, 0, 0, 0, 0, 0, dim, vectors};
  }
};

class Classifier : public Module {
 public:
  virtual ClassifierInput input() const = 0;
  virtual int64_t classes() const = 0;
  /// The whole configuration, `type` first, defaults filled in: make_classifier of it gives the
  /// same model.
  virtual Config config() const = 0;

  /// Logits [B, classes] of images [B, H, W, C] (floating, normalised), of features [B, (N,) D], or
  /// of ids [B, N] (i64 or i32). `lengths` [B] i64 are the tokens that count in each row of ids,
  /// all when undefined; the ids after them have no influence. Images and features take no lengths.
  virtual Tensor forward(const Tensor& x, const Tensor& lengths) = 0;
  Tensor forward(const Tensor& x) { return forward(x, Tensor()); }

  /// Whether its pooling weighs tokens, and how: [B, heads, N], rows that sum to 1.
  virtual bool weighs_tokens() const { return false; }
  virtual Tensor token_weights(const Tensor& /*ids*/, const Tensor& /*lengths*/) { return {}; }

  /// Forward floating-point operations of one example of the full size (a multiply-add counts as
  /// two). A training step costs three times that.
  virtual double flops() const = 0;
};

/// The classifier that config's `type` names, not yet initialised. `classes` and `input` stand in
/// where the config leaves their keys (`classes`; `height`, `width`, `channels`; `vocab`,
/// `context`; `features`, `tokens`) out or has 0, a preset's values notwithstanding; zeros in
/// `input` stand for unknown. A RequestError when the model takes the other kind of input, when a
/// configured `classes` or `vocab` is smaller than the data's, or a configured image size differs
/// from the data's.
std::unique_ptr<Classifier> make_classifier(const Config& config, int64_t classes = 0,
                                            const ClassifierInput& input = {});

}  // namespace heed::nn
