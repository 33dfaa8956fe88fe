#include "recipes/engine/onnx/export.h"

#include <algorithm>

#include "autograd/tape.h"
#include "kernels/copy/copy.h"
#include "recipes/engine/onnx/emit.h"

namespace heed::recipes::onnx {
namespace {

struct Run {
  Recording recording;
  std::vector<Tensor> results;
};

void record(const Model& model, bool second, Run& run) {
  nn::Inputs inputs;
  for (const auto& [name, tensor] : nn::state_dict(model.module))
    run.recording.parameter(name, tensor);
  for (const Example& example : model.inputs) {
    const Tensor& given = second ? example.second : example.first;
    HEED_CHECK(given.shape() == example.first.shape() && given.dtype() == example.first.dtype(),
               "onnx: examples {} and {} of input '{}'", example.first, given, example.name);
    const Tensor own = Tensor::empty(given.shape(), given.dtype());  // in memory of its own
    kernels::copy(given, own);
    run.recording.input(example.name, own);
    inputs[example.name] = own;
  }
  const NoGrad no_grad;
  const trace::Listening listening(run.recording);
  run.results = model.forward(inputs);
}

bool is_loss(const Recording& recording, int value) {
  const Origins origins = origins_of(recording, {value});
  return std::any_of(origins.steps.begin(), origins.steps.end(), [&](int step) {
    const auto found = without_form().find(recording.steps()[static_cast<size_t>(step)].what.name);
    return found != without_form().end() && found->second.starts_with("it is a loss");
  });
}

std::string result_name(const Model& model, size_t i, size_t count) {
  if (i < model.outputs.size()) return model.outputs[i];
  return count == 1 ? "out" : fmt::format("out.{}", i);
}

/// The module as it is written, and back to what it was.
class Inference {
 public:
  explicit Inference(nn::Module& module) : module_(module), training_(module.training()) {
    module.eval();
  }
  ~Inference() { module_.train(training_); }
  Inference(const Inference&) = delete;
  Inference& operator=(const Inference&) = delete;

 private:
  nn::Module& module_;
  bool training_;
};

}  // namespace

Written write(const Model& model, const std::string& path, int64_t most_bytes) {
  const Inference inference(model.module);
  {  // what modules keep from their first pass (tables of positions) is there in both
    Run warm;
    record(model, false, warm);
  }
  Run first, second;
  record(model, false, first);
  record(model, true, second);
  const Recording& recording = first.recording;

  Written written;
  std::vector<int> wanted;
  for (size_t i = 0; i < first.results.size(); ++i) {
    const std::string name = result_name(model, i, first.results.size());
    const int value = recording.find(first.results[i]);
    if (value < 0) {
      fail_request("onnx: no static graph: result '{}' is made from the inputs by no op", name);
    }
    if (is_loss(recording, value)) {
      written.left_out.push_back(name);
      continue;
    }
    wanted.push_back(value);
    written.outputs.emplace_back(name, first.results[i]);
  }
  if (wanted.empty()) fail_request("onnx: there is nothing to write but losses");
  const std::string differs = difference(recording, second.recording, wanted);
  if (!differs.empty()) fail_request("onnx: no static graph: {}", differs);

  Graph graph;
  for (const Example& example : model.inputs) {
    graph.input(example.name, example.first.dtype(), example.first.shape());
    written.inputs.emplace_back(example.name, example.first);
  }
  Emission emission(graph, recording, wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    const auto& [name, tensor] = written.outputs[i];
    graph.output(emission.name_of(wanted[i]), name, tensor.dtype(), tensor.shape());
  }
  written.nodes = graph.node_count();
  written.parameters = model.module.parameter_count();
  written.files = graph.write(path, most_bytes, {{"heed.model", model.about.to_json(0)}});
  return written;
}

}  // namespace heed::recipes::onnx
