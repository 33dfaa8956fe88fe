#include "recipes/engine/onnx/emit.h"

#include <algorithm>
#include <cmath>

#include "kernels/matmul/activation.h"

namespace heed::recipes::onnx {
namespace {

/// Ops that leave a trained tensor recognisable: written as nodes, so that it keeps its own name.
bool is_layout(const std::string& op) {
  static const std::set<std::string> ops = {"reshape", "transpose", "permute", "slice",
                                            "select",  "expand",    "squeeze", "unsqueeze",
                                            "split",   "contiguous"};
  return ops.contains(op);
}

/// Ops whose emitters bring floating operands of different dtypes together; ONNX has none itself.
/// (Rotary angles are in f64 beside any features.)
bool casts_operands(const std::string& op) {
  static const std::set<std::string> ops = {
      "add", "sub", "mul", "div", "maximum", "minimum", "pow",    "eq",
      "ne",  "lt",  "le",  "gt",  "ge",      "where",   "rotary", "rotary_qkv"};
  return ops.contains(op);
}

/// Refuses an op whose floating inputs would be of different dtypes in the file.
void check_dtypes(const Recording& recording, int index) {
  const Step& step = recording.steps()[static_cast<size_t>(index)];
  if (casts_operands(step.what.name)) return;
  DType first = DType::boolean;
  for (const Tensor& input : step.what.inputs) {
    if (!input.defined() || !is_floating(input.dtype())) continue;
    const DType dtype = written_dtype(input.dtype());
    if (first == DType::boolean) first = dtype;
    if (dtype == first) continue;
    fail_request("onnx: {} takes {} and {} together, which no op of ONNX does",
                 recording.place(index), name_of(first), name_of(dtype));
  }
}

}  // namespace

Emission::Emission(Graph& graph, const Recording& recording, const std::vector<int>& wanted)
    : graph_(graph), recording_(recording) {
  const Origins origins = origins_of(recording, wanted);
  needed_ = origins.values;
  for (const int index : origins.steps) {
    const Step& step = recording.steps()[static_cast<size_t>(index)];
    const auto needed = [&](int id) { return needed_.contains(id) && written(id); };
    if (std::none_of(step.outputs.begin(), step.outputs.end(), needed)) continue;  // a constant
    const auto emitter = emitters().find(step.what.name);
    if (emitter == emitters().end()) {
      const auto reason = without_form().find(step.what.name);
      fail_request("onnx: {} has no form in ONNX{}", recording.place(index),
                   reason == without_form().end() ? std::string() : ", because " + reason->second);
    }
    check_dtypes(recording, index);
    Op op(*this, step);
    emitter->second(op);
  }
}

bool Emission::written(int id) const {
  const Value& value = recording_.value(id);
  if (value.kind != ValueKind::result) return false;
  if (value.varies) return true;
  const Step& step = recording_.steps()[static_cast<size_t>(value.step)];
  if (!is_layout(step.what.name)) return false;
  const int source = step.inputs[0];
  return recording_.value(source).kind == ValueKind::parameter || written(source);
}

std::string Emission::name_of(int id) {
  if (id < 0) return "";
  const auto known = names_.find(id);
  if (known != names_.end()) return known->second;
  const Value& value = recording_.value(id);
  HEED_CHECK(!written(id), "onnx: a value is read before it is made");
  if (value.kind == ValueKind::input) return names_[id] = value.name;
  if (value.kind == ValueKind::parameter)
    return names_[id] = graph_.parameter(value.name, value.tensor);
  return names_[id] = graph_.constant(value.tensor);
}

Op::Op(Emission& emission, const Step& step) : emission_(emission), step_(step) {}

Graph& Op::graph() const { return emission_.graph_; }

std::string Op::in(size_t i) const { return has(i) ? emission_.name_of(step_.inputs[i]) : ""; }

Names Op::all_in() const {
  Names names;
  for (size_t i = 0; i < inputs(); ++i) names.push_back(in(i));
  return names;
}

std::string Op::in_as(size_t i, DType dtype) const {
  return written_dtype(tensor(i).dtype()) == written_dtype(dtype) ? in(i) : cast(in(i), dtype);
}

std::string Op::cast(const std::string& x, DType dtype) const {
  static const std::map<DType, int64_t> numbers = {{DType::f32, 1},     {DType::u8, 2},
                                                   {DType::i32, 6},     {DType::i64, 7},
                                                   {DType::boolean, 9}, {DType::f64, 11}};
  return node("Cast", {x}, {{"to", numbers.at(written_dtype(dtype))}});
}

bool Op::constant(size_t i) const {
  return has(i) && !emission_.recording_.value(step_.inputs[i]).varies;
}

bool Op::wanted(size_t i) const {
  return i < outputs() && emission_.needed_.contains(step_.outputs[i]);
}

void Op::out(size_t i, const std::string& name) { emission_.names_[step_.outputs[i]] = name; }

const Limit* Op::limit() const {
  return emission_.recording_.limit_of(step_.what.attention->pattern);
}

std::string Op::value(int id) const { return emission_.name_of(id); }

const trace::Attribute& Op::attribute(const char* name) const {
  const auto found = step_.what.attributes.find(name);
  HEED_CHECK(found != step_.what.attributes.end(), "onnx: '{}' reports no '{}'", this->name(),
             name);
  return found->second;
}

void Op::refuse(const std::string& why) const {
  fail_request("onnx: '{}'{} has no form in ONNX, because {}", name(),
               step_.near.empty() ? std::string() : " (near " + step_.near + ")", why);
}

std::string Op::scalar(double value) const {
  return graph().constant(Tensor::full({}, value, tensor(0).dtype()));
}

std::string Op::reshape(const std::string& x, const std::vector<int64_t>& shape) const {
  return node("Reshape", {x, graph().integers(shape)});
}

std::string Op::transpose(const std::string& x, const std::vector<int64_t>& order) const {
  return node("Transpose", {x}, {{"perm", order}});
}

std::string Op::slice(const std::string& x, int64_t dim, int64_t begin, int64_t end,
                      int64_t step) const {
  const auto one = [&](int64_t value) { return graph().integers({value}); };
  return node("Slice", {x, one(begin), one(end), one(dim), one(step)});
}

std::string Op::reduce(const std::string& op, const std::string& x,
                       const std::vector<int64_t>& dims, bool keepdims) const {
  return node(op, {x, dims.empty() ? "" : graph().integers(dims)},
              {{"keepdims", int64_t{keepdims}}});
}

std::string Op::standardised(const std::string& x, const std::vector<int64_t>& dims,
                             double eps) const {
  const std::string centred = node("Sub", {x, reduce("ReduceMean", x, dims, true)});
  const std::string variance = reduce("ReduceMean", mul(centred, centred), dims, true);
  return node("Div", {centred, node("Sqrt", {add(variance, scalar(eps))})});
}

std::string Op::gelu(const std::string& x) const {
  const std::string e = node("Erf", {node("Div", {x, scalar(std::sqrt(2.0))})});
  return mul(mul(x, add(e, scalar(1.0))), scalar(0.5));
}

std::string Op::activated(const std::string& x, int64_t activation) const {
  switch (static_cast<Activation>(activation)) {
    case Activation::none:
      return x;
    case Activation::relu:
      return node("Relu", {x});
    case Activation::gelu:
      return gelu(x);
    case Activation::gelu_tanh: {
      const std::string cube = mul(mul(x, x), x);
      const std::string inner =
          mul(add(x, mul(cube, scalar(0.044715))), scalar(std::sqrt(2 / M_PI)));
      return mul(mul(x, add(node("Tanh", {inner}), scalar(1.0))), scalar(0.5));
    }
    case Activation::silu:
      return mul(x, node("Sigmoid", {x}));
  }
  fail("onnx: unknown activation {}", activation);
}

const Emitters& emitters() {
  static const Emitters all = [] {
    Emitters merged;
    for (Emitters part :
         {elementwise_emitters(), layout_emitters(), index_emitters(), product_emitters(),
          reduce_emitters(), norm_emitters(), attention_emitters(), rotary_emitters(),
          recurrent_emitters(), length_emitters(), fourier_emitters(), solve_emitters()}) {
      merged.merge(part);
      HEED_CHECK(part.empty(), "onnx: '{}' is emitted twice", part.begin()->first);
    }
    return merged;
  }();
  return all;
}

const std::map<std::string, std::string>& without_form() {
  static const std::string loss = "it is a loss, which training alone needs";
  static const std::string draws = "it draws random numbers, in training alone";
  static const std::map<std::string, std::string> all = {
      {"cross_entropy", loss},
      {"linear_cross_entropy", loss},
      {"linear_cross_entropy_rows", loss},
      {"soft_cross_entropy", loss},
      {"distillation_loss", loss},
      {"z_loss", loss},
      {"mse_loss", loss},
      {"l1_loss", loss},
      {"huber_loss", loss},
      {"smooth_l1_loss", loss},
      {"bce_with_logits", loss},
      {"binary_cross_entropy", loss},
      {"kl_div", loss},
      {"batch_norm", "it takes the statistics of its batch, in training alone"},
      {"dropout", draws},
      {"drop_path", draws},
      {"cummax", "ONNX has no running maximum"},
      {"logcumsumexp", "ONNX has no running logarithm of a sum"},
      {"cholesky_solve", "ONNX has no factorisation of matrices"},
  };
  return all;
}

}  // namespace heed::recipes::onnx
