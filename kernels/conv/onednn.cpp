#include "kernels/conv/onednn.h"

#include <memory>
#include <unordered_map>

#include "core/random.h"
#include "kernels/elementwise/accumulate.h"
#include "kernels/onednn/onednn.h"

namespace heed::kernels {
namespace {

using dnnl::memory;

struct Key {
  ConvPlan plan;
  ConvPass pass;
  DType dtype;
  bool bias;
  bool operator==(const Key&) const = default;
};

struct HashKey {
  size_t operator()(const Key& key) const {
    const ConvPlan& p = key.plan;
    uint64_t hash =
        static_cast<uint64_t>(key.pass) * 16 + static_cast<uint64_t>(key.dtype) * 2 + key.bias;
    const auto add = [&hash](int64_t value) { hash = mix(hash + static_cast<uint64_t>(value)); };
    for (int64_t value :
         {static_cast<int64_t>(p.rank), p.batch, p.in_channels, p.out_channels, p.groups})
      add(value);
    for (const auto* three : {&p.in, &p.kernel, &p.stride, &p.padding, &p.dilation}) {
      for (int64_t value : *three) add(value);
    }
    return hash;
  }
};

// oneDNN's names of things: channels come before the spatial dimensions, whatever the memory's
// order. One-dimensional convolutions are two-dimensional ones of height 1: the two-dimensional
// kernels are the better ones.
struct Described {
  memory::dims stride, padding, dilation;
  memory::desc x, y, plain_weight;  // plain: heed's order in memory
  memory::dims weight_dims;
};

Described describe(const ConvPlan& p, DType dtype, DType weight_dtype) {
  const size_t first = p.rank == 3 ? 0 : 1;
  const int64_t per_group = p.in_channels / p.groups;
  Described d;
  const auto spatial = [&](const ConvPlan::Three& three) {
    return memory::dims(three.begin() + first, three.end());
  };
  const auto image = [&](int64_t channels, const ConvPlan::Three& size) {
    memory::dims dims{p.batch, channels};
    for (int64_t extent : spatial(size)) dims.push_back(extent);
    return memory::desc(dims, onednn::data_type(dtype),
                        p.rank == 3 ? memory::format_tag::ndhwc : memory::format_tag::nhwc);
  };
  d.stride = spatial(p.stride);
  d.padding = spatial(p.padding);
  d.dilation = spatial(p.dilation);
  for (int64_t& extent : d.dilation) --extent;  // oneDNN counts the gaps
  d.x = image(p.in_channels, p.in);
  d.y = image(p.out_channels, p.out);

  // heed's weights [Cout, kernel..., C / groups], described as (groups,) out, in, kernel... with
  // strides
  const memory::dims kernel = spatial(p.kernel);
  const int64_t taps = p.taps();
  memory::dims strides;
  if (p.groups > 1) {
    d.weight_dims = {p.groups, p.out_channels / p.groups, per_group};
    strides = {p.out_channels / p.groups * taps * per_group, taps * per_group, 1};
  } else {
    d.weight_dims = {p.out_channels, per_group};
    strides = {taps * per_group, 1};
  }
  int64_t below = taps;
  for (int64_t extent : kernel) {
    d.weight_dims.push_back(extent);
    below /= extent;
    strides.push_back(below * per_group);
  }
  d.plain_weight = memory::desc(d.weight_dims, onednn::data_type(weight_dtype), strides);
  return d;
}

memory::desc any_layout(const memory::dims& dims, DType dtype) {
  return {dims, onednn::data_type(dtype), memory::format_tag::any};
}

dnnl::convolution_forward::primitive_desc forward_plan(const ConvPlan& p, DType dtype, bool bias) {
  const Described d = describe(p, dtype, dtype);
  const memory::desc weight = any_layout(d.weight_dims, dtype);
  const auto kind = dnnl::prop_kind::forward_training;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  using Desc = dnnl::convolution_forward::desc;
  const memory::desc bias_desc({p.out_channels}, memory::data_type::f32, memory::format_tag::a);
  const Desc desc =
      bias ? Desc(kind, algorithm, d.x, weight, bias_desc, d.y, d.stride, d.dilation, d.padding,
                  d.padding)
           : Desc(kind, algorithm, d.x, weight, d.y, d.stride, d.dilation, d.padding, d.padding);
  return {desc, onednn::attributes(), onednn::engine()};
}

// A pass of one thread, with the layout that it reads (or writes) weights in.
struct Compiled {
  onednn::Call call;
  memory::desc weight;
};

Compiled compile(const Key& key) {
  const ConvPlan& p = key.plan;
  const auto algorithm = dnnl::algorithm::convolution_direct;
  if (key.pass == ConvPass::forward) {
    const auto plan = forward_plan(p, key.dtype, key.bias);
    if (key.bias) {
      return {{dnnl::convolution_forward(plan),
               plan.scratchpad_desc(),
               {{DNNL_ARG_SRC, plan.src_desc()},
                {DNNL_ARG_WEIGHTS, plan.weights_desc()},
                {DNNL_ARG_BIAS, plan.bias_desc()},
                {DNNL_ARG_DST, plan.dst_desc()}}},
              plan.weights_desc()};
    }
    return {{dnnl::convolution_forward(plan),
             plan.scratchpad_desc(),
             {{DNNL_ARG_SRC, plan.src_desc()},
              {DNNL_ARG_WEIGHTS, plan.weights_desc()},
              {DNNL_ARG_DST, plan.dst_desc()}}},
            plan.weights_desc()};
  }
  const auto hint = forward_plan(p, key.dtype, false);
  if (key.pass == ConvPass::input_gradient) {
    const Described d = describe(p, key.dtype, key.dtype);
    const dnnl::convolution_backward_data::primitive_desc plan(
        {algorithm, d.x, any_layout(d.weight_dims, key.dtype), d.y, d.stride, d.dilation, d.padding,
         d.padding},
        onednn::attributes(), onednn::engine(), hint);
    return {{dnnl::convolution_backward_data(plan),
             plan.scratchpad_desc(),
             {{DNNL_ARG_DIFF_SRC, plan.diff_src_desc()},
              {DNNL_ARG_WEIGHTS, plan.weights_desc()},
              {DNNL_ARG_DIFF_DST, plan.diff_dst_desc()}}},
            plan.weights_desc()};
  }
  const Described d = describe(p, key.dtype, DType::f32);
  const dnnl::convolution_backward_weights::primitive_desc plan(
      {algorithm, d.x, any_layout(d.weight_dims, DType::f32), d.y, d.stride, d.dilation, d.padding,
       d.padding},
      onednn::attributes(), onednn::engine(), hint);
  return {{dnnl::convolution_backward_weights(plan),
           plan.scratchpad_desc(),
           {{DNNL_ARG_SRC, plan.src_desc()},
            {DNNL_ARG_DIFF_WEIGHTS, plan.diff_weights_desc()},
            {DNNL_ARG_DIFF_DST, plan.diff_dst_desc()}}},
          plan.diff_weights_desc()};
}

Compiled& compiled(const Key& key) {
  static thread_local std::unordered_map<Key, std::unique_ptr<Compiled>, HashKey> cache;
  return onednn::cached(cache, key, [&] { return compile(key); });
}

void reorder(const memory::desc& from_desc, const void* from, const memory::desc& to_desc,
             void* to) {
  const onednn::OneThread one_thread;
  memory source(from_desc, onednn::engine(), const_cast<void*>(from));
  memory target(to_desc, onednn::engine(), to);
  dnnl::stream stream(onednn::engine());
  dnnl::reorder(source, target).execute(stream, source, target);
}

// Runs fn, turning oneDNN's failures into ours.
template <class Fn>
void guarded(const ConvPlan& p, const char* pass, Fn&& fn) {
  try {
    fn();
  } catch (const dnnl::error& error) {
    fail("conv: oneDNN has no {} for {} to {} channels in {} groups, kernel [{}]: {}", pass,
         p.in_channels, p.out_channels, p.groups, fmt::join(p.kernel, ", "), error.what());
  }
}

}  // namespace

PackedWeight pack_weight(const ConvPlan& plan, ConvPass pass, DType dtype, const Tensor& weight,
                         bool bias) {
  PackedWeight packed;
  guarded(plan, "weight layout", [&] {
    const memory::desc wanted = compiled({plan, pass, dtype, bias}).weight;
    const Tensor plain = contiguous_as(weight, weight.dtype());
    packed.bytes = Tensor::empty({static_cast<int64_t>(wanted.get_size())}, DType::u8);
    reorder(describe(plan, dtype, weight.dtype()).plain_weight, plain.raw(), wanted,
            packed.bytes.raw());
  });
  return packed;
}

void conv_forward_onednn(const ConvPlan& plan, DType dtype, const void* x,
                         const PackedWeight& weight, const float* bias, void* y) {
  guarded(plan, "forward pass", [&] {
    onednn::Call& call = compiled({plan, ConvPass::forward, dtype, bias != nullptr}).call;
    if (bias != nullptr) call.set(DNNL_ARG_BIAS, bias);
    call.set(DNNL_ARG_SRC, x).set(DNNL_ARG_WEIGHTS, weight.bytes.raw()).set(DNNL_ARG_DST, y).run();
  });
}

void conv_input_gradient_onednn(const ConvPlan& plan, DType dtype, const void* dy,
                                const PackedWeight& weight, void* dx) {
  guarded(plan, "input gradient", [&] {
    onednn::Call& call = compiled({plan, ConvPass::input_gradient, dtype, false}).call;
    call.set(DNNL_ARG_DIFF_DST, dy)
        .set(DNNL_ARG_WEIGHTS, weight.bytes.raw())
        .set(DNNL_ARG_DIFF_SRC, dx)
        .run();
  });
}

void conv_weight_gradient_onednn(const ConvPlan& plan, DType dtype, const void* dy, const void* x,
                                 float* dw) {
  guarded(plan, "weight gradient", [&] {
    Compiled& pass = compiled({plan, ConvPass::weight_gradient, dtype, false});
    const Tensor blocked = Tensor::empty({static_cast<int64_t>(pass.weight.get_size())}, DType::u8);
    pass.call.set(DNNL_ARG_SRC, x)
        .set(DNNL_ARG_DIFF_DST, dy)
        .set(DNNL_ARG_DIFF_WEIGHTS, blocked.raw())
        .run();
    reorder(pass.weight, blocked.raw(), describe(plan, dtype, DType::f32).plain_weight, dw);
  });
}

}  // namespace heed::kernels
