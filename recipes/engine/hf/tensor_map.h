// Tensors of a hub's file to those of heed's module and back, by a family's table.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/config.h"
#include "core/tensor.h"
#include "recipes/engine/hf/family.h"

namespace heed::recipes::hf {

/// One of heed's tensors as a file of the hub has it: its rows, in parts with names of their own.
struct Placement {
  struct Part {
    std::string name;
    int64_t rows = 0;  ///< of heed's tensor
    Shape shape;       ///< in the file
  };
  std::vector<Part> parts;
  Layout layout = Layout::same;
};

/// How a model's tensors are named.
struct Naming {
  const Family* family = nullptr;
  const Architecture* architecture = nullptr;  ///< or null: the family's names alone
  bool bare = false;                           ///< without the family's prefix
  Config model = {};                           ///< its meaning_of()
};

/// "text.blocks.12.norm1.weight" as "text.blocks.{}.norm1.weight" and "12"; a name without the
/// number of a block, of the model's or of a part's, as itself and "".
std::pair<std::string, std::string> without_number(const std::string& name);
/// The pattern with something in the place of its "{}", if it has that.
std::string with_number(std::string pattern, const std::string& number);

/// Where a file has the tensor `ours` of `shape`. One that the tables lack (of a mechanism that
/// heed adds), or whose rows are not those parts, keeps its own name.
Placement placement_of(const Naming& naming, const std::string& ours, const Shape& shape);

/// The layout as far as a tensor of that shape has it: biases and norms have nothing to transpose,
/// a convolution's bias no channels to move.
Layout layout_for(const Shape& shape, Layout layout);
/// The shape that a tensor of ours has on the other side.
Shape their_shape(const Shape& shape, Layout layout);

/// Views of the same memory in the other side's layout.
Tensor to_ours(const Tensor& theirs, Layout layout);
Tensor to_theirs(const Tensor& ours, Layout layout);

}  // namespace heed::recipes::hf
