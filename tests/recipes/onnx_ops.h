// A graph of every differentiable op, small and of odd shapes: what onnx_ops_test.cpp writes and
// tests/interop/onnx_check.py runs.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "recipes/engine/onnx/export.h"

namespace heed::recipes::onnx {

struct OpCase {
  std::string name;  ///< the function in autograd/ops, with what is special behind a space
  std::vector<Example> inputs;
  std::function<std::vector<Tensor>(const nn::Inputs&)> run;
};

const std::vector<OpCase>& op_cases();

}  // namespace heed::recipes::onnx
