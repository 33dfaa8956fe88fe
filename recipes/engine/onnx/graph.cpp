#include "recipes/engine/onnx/graph.h"

#include <algorithm>
#include <filesystem>

#include "core/files.h"
#include "kernels/attention/patterns/rule.h"
#include "kernels/copy/copy.h"
#include "recipes/engine/onnx/onnx.pb.h"

namespace heed::recipes::onnx {
namespace {

constexpr int64_t kSmall = 1024;      // bytes of a tensor that never leaves the model's own file
constexpr int64_t kAlignment = 4096;  // of tensors in the second file, for memory maps

onnx_proto::Tensor::DataType data_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return onnx_proto::Tensor::FLOAT;
    case DType::f64:
      return onnx_proto::Tensor::DOUBLE;
    case DType::i32:
      return onnx_proto::Tensor::INT32;
    case DType::i64:
      return onnx_proto::Tensor::INT64;
    case DType::u8:
      return onnx_proto::Tensor::UINT8;
    case DType::boolean:
      return onnx_proto::Tensor::BOOL;
    default:
      fail("onnx: tensors of {} are not written", name_of(dtype));
  }
}

void set_info(onnx_proto::ValueInfo& info, const std::string& name, DType dtype,
              const Shape& shape) {
  info.set_name(name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(data_type(dtype));
  type.mutable_shape();  // there also where a scalar has no dimension
  for (const int64_t extent : shape) type.mutable_shape()->add_dim()->set_dim_value(extent);
}

struct SetAttribute {
  onnx_proto::Attribute& to;

  void operator()(int64_t value) const {
    to.set_type(onnx_proto::Attribute::INT);
    to.set_i(value);
  }
  void operator()(double value) const {
    to.set_type(onnx_proto::Attribute::FLOAT);
    to.set_f(static_cast<float>(value));
  }
  void operator()(const std::string& value) const {
    to.set_type(onnx_proto::Attribute::STRING);
    to.set_s(value);
  }
  void operator()(const std::vector<int64_t>& values) const {
    to.set_type(onnx_proto::Attribute::INTS);
    for (const int64_t value : values) to.add_ints(value);
  }
  void operator()(const std::shared_ptr<const Graph>& body) const {
    to.set_type(onnx_proto::Attribute::GRAPH);
    HEED_CHECK(body->tensor_bytes() == 0, "onnx: constants belong to the outer graph");
    *to.mutable_g() = body->proto();
  }
};

Tensor as_written(const Tensor& values) {
  return kernels::contiguous_as(values.detach().to(kCpu), written_dtype(values.dtype()));
}

void describe(onnx_proto::Tensor& to, const std::string& name, const Tensor& values) {
  to.set_name(name);
  to.set_data_type(data_type(values.dtype()));
  for (const int64_t extent : values.shape()) to.add_dims(extent);
}

void add_entry(google::protobuf::RepeatedPtrField<onnx_proto::Entry>& to, const std::string& key,
               const std::string& value) {
  onnx_proto::Entry& entry = *to.Add();
  entry.set_key(key);
  entry.set_value(value);
}

}  // namespace

DType written_dtype(DType dtype) {
  return dtype == DType::bf16 || dtype == DType::f16 ? DType::f32 : dtype;
}

Graph::Graph() : graph_(std::make_unique<onnx_proto::Graph>()) { graph_->set_name("heed"); }

Graph::Graph(const std::string& prefix) : Graph() {
  prefix_ = prefix + ".";
  graph_->set_name(prefix);
}

Graph::~Graph() = default;

std::string Graph::fresh(const std::string& stem) {
  std::string name;
  do name = fmt::format("{}{}.{}", prefix_, stem, ++next_);
  while (!taken_.insert(name).second);
  return name;
}

void Graph::take_name(const std::string& name, const std::string& what) {
  if (taken_.insert(name).second) return;
  fail_request("onnx: {} is called '{}', and so is another value", what, name);
}

std::string Graph::node(const std::string& op, const Names& inputs,
                        const NodeAttributes& attributes) {
  return nodes(op, inputs, 1, attributes)[0];
}

Names Graph::nodes(const std::string& op, const Names& inputs, int count,
                   const NodeAttributes& attributes) {
  onnx_proto::Node& node = *graph_->add_node();
  node.set_op_type(op);
  node.set_name(fresh(op));
  for (const std::string& input : inputs) node.add_input(input);
  while (node.input_size() > 0 && node.input(node.input_size() - 1).empty())
    node.mutable_input()->RemoveLast();
  Names results;
  for (int i = 0; i < count; ++i) {
    results.push_back(count == 1 ? node.name() : fmt::format("{}.{}", node.name(), i));
    node.add_output(results.back());
    made_by_[results.back()] = {graph_->node_size() - 1, i};
  }
  for (const auto& [name, value] : attributes) {
    onnx_proto::Attribute& attribute = *node.add_attribute();
    attribute.set_name(name);
    std::visit(SetAttribute{attribute}, value);
  }
  return results;
}

std::string Graph::hold(const std::string& name, const Tensor& values) {
  bytes_ += values.bytes();
  tensors_.push_back({name, values});
  return name;
}

std::string Graph::constant(const Tensor& given) {
  const Tensor values = as_written(given);
  const std::string key =
      fmt::format("{}{} {}", name_of(values.dtype()), values.shape().to_string(),
                  fingerprint(values.raw(), static_cast<size_t>(values.bytes())));
  const auto known = constants_.find(key);
  if (known != constants_.end()) return known->second;
  return constants_[key] = hold(fresh("constant"), values);
}

std::string Graph::integers(const std::vector<int64_t>& values) {
  return constant(Tensor::from(values, {std::ssize(values)}));
}

std::string Graph::number(double value) { return constant(Tensor::full({}, value, DType::f32)); }

std::string Graph::parameter(const std::string& name, const Tensor& given) {
  const auto known = parameters_.find(name);
  if (known != parameters_.end()) return known->second;
  take_name(name, "a trained tensor");
  return parameters_[name] = hold(name, as_written(given));
}

void Graph::input(const std::string& name, DType dtype, const Shape& shape) {
  if (prefix_.empty()) take_name(name, "an input");  // (a body's are fresh)
  set_info(*graph_->add_input(), name, dtype, shape);
}

void Graph::output(const std::string& value, const std::string& name, DType dtype,
                   const Shape& shape) {
  const auto made = made_by_.find(value);
  const bool elsewhere = made == made_by_.end();  // an input or a tensor
  const auto& results = graph_->output();
  const bool taken = std::any_of(results.begin(), results.end(),
                                 [&](const auto& result) { return result.name() == value; });
  if (elsewhere || taken) {
    const std::string same = node("Identity", {value});
    return output(same, name, dtype, shape);
  }
  if (prefix_.empty()) take_name(name, "a result");
  const auto [index, result] = made->second;
  graph_->mutable_node(index)->set_output(result, name);
  for (auto& node : *graph_->mutable_node()) {
    for (std::string& input : *node.mutable_input())
      if (input == value) input = name;
  }
  made_by_[name] = made->second;
  made_by_.erase(value);
  set_info(*graph_->add_output(), name, dtype, shape);
}

int64_t Graph::node_count() const { return graph_->node_size(); }

int64_t Graph::node_count(const std::string& op) const {
  return std::count_if(graph_->node().begin(), graph_->node().end(),
                       [&](const auto& node) { return node.op_type() == op; });
}

std::vector<std::string> Graph::write(
    const std::string& path, int64_t most_bytes,
    const std::vector<std::pair<std::string, std::string>>& about) {
  onnx_proto::Model model;
  model.set_ir_version(kIrVersion);
  model.set_producer_name("heed");
  model.add_opset_import()->set_version(kOpset);
  for (const auto& [key, value] : about) add_entry(*model.mutable_metadata_props(), key, value);
  *model.mutable_graph() = *graph_;

  const bool apart = bytes_ > most_bytes;
  const std::string data_path = path + ".data";
  std::unique_ptr<AtomicFile> data;
  if (apart) data = std::make_unique<AtomicFile>(data_path);
  int64_t offset = 0;
  for (const Held& held : tensors_) {
    onnx_proto::Tensor& tensor = *model.mutable_graph()->add_initializer();
    describe(tensor, held.name, held.values);
    const int64_t bytes = held.values.bytes();
    if (!apart || bytes < kSmall) {
      tensor.set_raw_data(held.values.raw(), static_cast<size_t>(bytes));
      continue;
    }
    const int64_t gap = (kAlignment - offset % kAlignment) % kAlignment;
    data->write(std::string(static_cast<size_t>(gap), '\0'));
    data->write(held.values.raw(), static_cast<size_t>(bytes));
    offset += gap;
    tensor.set_data_location(onnx_proto::Tensor::EXTERNAL);
    auto& where = *tensor.mutable_external_data();
    add_entry(where, "location", std::filesystem::path(data_path).filename().string());
    add_entry(where, "offset", std::to_string(offset));
    add_entry(where, "length", std::to_string(bytes));
    offset += bytes;
  }
  const size_t size = model.ByteSizeLong();
  HEED_CHECK(size < (size_t{1} << 31), "onnx: '{}' would have {}, more than protobuf's 2 GiB", path,
             format_bytes(static_cast<int64_t>(size)));
  std::string bytes;
  HEED_CHECK(model.SerializeToString(&bytes), "onnx: '{}' could not be serialised", path);
  if (data) data->commit();
  write_file_atomically(path, bytes);
  return apart ? std::vector<std::string>{path, data_path} : std::vector<std::string>{path};
}

}  // namespace heed::recipes::onnx
