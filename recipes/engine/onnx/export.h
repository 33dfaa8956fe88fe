// A model's forward pass as an ONNX file.
//
// The pass is run twice, on different inputs, while a listener (autograd/trace.h) hears its ops.
// Both runs must give the same graph with the same constants: a model that computes something of
// the inputs' values outside the ops, or goes other ways for other values, has no static graph and
// is refused with the place. What no input changes becomes a constant, and what no result needs is
// left out. Trained tensors are initializers under their own names.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "nn/registry.h"

namespace heed::recipes::onnx {

/// An input and two examples of it, of one shape and as different as can be.
struct Example {
  std::string name;
  Tensor first, second;
};

struct Model {
  nn::Module& module;
  std::function<std::vector<Tensor>(const nn::Inputs&)> forward;
  std::vector<Example> inputs;
  std::vector<std::string> outputs;  ///< names; more results than these are "out.<n>"
  Config about;                      ///< its configuration, kept in the file
};

struct Written {
  std::vector<std::string> files;
  std::vector<std::pair<std::string, Tensor>> inputs, outputs;  ///< of the first run
  std::vector<std::string> left_out;                            ///< results that are losses
  int64_t nodes = 0, parameters = 0;
};

/// Protobuf files end at 2 GB; the graph itself takes its part.
inline constexpr int64_t kMostBytes = 1'800'000'000;

/// Writes the model, in f32 and inference mode, to `path`; where its tensors have more than
/// `most_bytes`, those of 1 KiB and more go to `path`.data. Results that are losses are left out.
/// A RequestError, and no file, for a model without a static graph and one with an op that has no
/// form in ONNX.
Written write(const Model& model, const std::string& path, int64_t most_bytes = kMostBytes);

/// Extents that a model leaves open; 0: its own.
struct Sizes {
  int64_t batch = 1;
  int64_t tokens = 0;             ///< of sequences
  int64_t height = 0, width = 0;  ///< of images
};

/// A model of the registry with what it takes and gives: the inputs' shapes follow from its options
/// and `sizes`. Its forward pass is a language model's (of one that reads images, with an image for
/// each row of ids), a classifier's, an encoder's with the
/// results of all its heads, an encoder-decoder's without the shift of the targets, an image
/// model's or a recommender's.
Model model_of(nn::Module& module, const Config& config, const Sizes& sizes);

/// A registered module on given inputs; the second example of each is made from it: other numbers,
/// the ids in another order, lengths one less.
Model model_of(const nn::ModuleEntry& entry, nn::Module& module, const nn::Inputs& inputs);

}  // namespace heed::recipes::onnx
