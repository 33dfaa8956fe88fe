// With s_p = e^(lse_p - lse) and g_p = factor_p (dout . out_p) for a row:
//   dout_p = factor_p s_p dout       dlse_p = s_p (g_p - sum_r s_r g_r + dlse)
#include "kernels/attention/merge.h"

#include <algorithm>
#include <cmath>

#include "core/op_call.h"
#include "core/parallel.h"
#include "kernels/attention/call.h"
#include "kernels/attention/device_merge.h"
#include "kernels/device_bytes.h"
#include "kernels/elementwise/accumulate.h"

namespace heed::kernels {

DeviceKernel<void(const Merge&)> merge_cuda;
DeviceKernel<void(const Merge&)> merge_backward_cuda;
DeviceKernel<void(const MergeInto&)> merge_into_cuda;

namespace {

constexpr int64_t kRowsAtOnce = 64;

using attn::Rows;

void check(const std::vector<AttentionOutput>& parts, const std::vector<double>& factors) {
  HEED_CHECK(!parts.empty() && (factors.empty() || factors.size() == parts.size()),
             "merge_attentions: {} parts, {} factors", parts.size(), factors.size());
  const Tensor &out = parts[0].out, &lse = parts[0].lse;
  HEED_CHECK(out.rank() == 4, "merge_attentions: wants out [B, H, N, D], got {}", out);
  for (const AttentionOutput& part : parts) {
    HEED_CHECK(part.out.shape() == out.shape() && part.out.dtype() == out.dtype(),
               "merge_attentions: parts {} and {}", out, part.out);
    HEED_CHECK(part.lse.shape() == (Shape{out.size(0), out.size(1), out.size(2)}) &&
                   part.lse.dtype() == lse.dtype(),
               "merge_attentions: out {} with lse {}", part.out, part.lse);
  }
}

/// Rows of parts, one after another: row r of a [B, H, N, D] tensor.
template <class T>
T* row_of(const Rows<T>& rows, const Shape& shape, int64_t r) {
  const int64_t i = r % shape[2], bh = r / shape[2];
  return rows.head(bh / shape[1], bh % shape[1]) + i * rows.row_stride;
}

/// The parts as the loops read them: contiguous rows, contiguous lse.
template <class T, class A>
struct Parts {
  std::vector<Tensor> kept;
  std::vector<Rows<const T>> out;
  std::vector<const A*> lse;

  explicit Parts(const std::vector<AttentionOutput>& parts) {
    for (const AttentionOutput& part : parts) {
      kept.push_back(attn::with_contiguous_rows(part.out));
      out.emplace_back(kept.back());
      kept.push_back(contiguous_as(part.lse, part.lse.dtype()));
      lse.push_back(kept.back().data<A>());
    }
  }
};

/// Calls fn(row, scratch) for the rows of some [B, H, N, D] tensors, in pieces, on all threads;
/// `scratch`: that many numbers.
template <class A, class Fn>
void for_rows(const Shape& shape, size_t scratch, const Fn& fn) {
  parallel_for(shape[0] * shape[1] * shape[2], kRowsAtOnce, [&](int64_t begin, int64_t end) {
    std::vector<A> numbers(scratch);
    for (int64_t r = begin; r < end; ++r) fn(r, numbers.data());
  });
}

double factor_of(const std::vector<double>& factors, size_t p) {
  return factors.empty() ? 1.0 : factors[p];
}

template <class T, class A>
void merge(const std::vector<AttentionOutput>& all, const std::vector<double>& factors,
           const AttentionOutput& to) {
  const Parts<T, A> parts(all);
  const Rows<T> out(to.out);
  const Shape shape = to.out.shape();
  const auto width = static_cast<size_t>(shape[3]);
  for_rows<A>(shape, width, [&](int64_t r, A* sums) {
    A most = -std::numeric_limits<A>::infinity(), sum = 0;
    for (const A* lse : parts.lse) most = std::max(most, lse[r]);
    const bool empty = std::isinf(most) && most < 0;
    for (const A* lse : parts.lse) sum += empty ? A{0} : std::exp(lse[r] - most);
    const A whole = empty ? most : most + std::log(sum);
    to.lse.data<A>()[r] = whole;
    std::fill_n(sums, width, A{0});
    for (size_t p = 0; !empty && p < parts.lse.size(); ++p) {
      const A share = static_cast<A>(factor_of(factors, p)) * std::exp(parts.lse[p][r] - whole);
      const T* from = row_of(parts.out[p], shape, r);
      for (size_t d = 0; d < width; ++d) sums[d] += share * static_cast<A>(from[d]);
    }
    T* row = row_of(out, shape, r);
    for (size_t d = 0; d < width; ++d) row[d] = static_cast<T>(sums[d]);
  });
}

template <class T, class A>
void add_part(const AttentionOutput& whole, const AttentionOutput& part,
              const std::vector<double>& shift) {
  const Tensor rows = attn::with_contiguous_rows(part.out);
  const Tensor part_lse = contiguous_as(part.lse, part.lse.dtype());
  const Rows<const T> from(rows);
  const Shape shape = whole.out.shape();
  for_rows<A>(shape, 0, [&](int64_t r, A*) {
    const auto head = static_cast<size_t>(r / shape[2] % shape[1]);
    A& lse = whole.lse.data<A>()[r];
    const A more = part_lse.data<A>()[r] + static_cast<A>(shift.empty() ? 0.0 : shift[head]);
    const A most = std::max(lse, more);
    if (std::isinf(most) && most < 0) return;
    const A sum = most + std::log(std::exp(lse - most) + std::exp(more - most));
    const A kept = std::exp(lse - sum), share = std::exp(more - sum);
    lse = sum;
    A* row = whole.out.data<A>() + r * shape[3];
    const T* add = row_of(from, shape, r);
    for (int64_t d = 0; d < shape[3]; ++d) row[d] = kept * row[d] + share * static_cast<A>(add[d]);
  });
}

template <class T, class A>
void merge_backward(const Tensor& dout_in, const Tensor& dlse,
                    const std::vector<AttentionOutput>& all, const Tensor& merged_lse,
                    const std::vector<double>& factors, const std::vector<AttentionOutput>& to) {
  const Parts<T, A> parts(all);
  const Rows<const T> dout(dout_in);
  std::vector<Rows<T>> douts;
  for (const AttentionOutput& part : to) douts.emplace_back(part.out);
  const Shape shape = dout_in.shape();
  const size_t count = all.size();
  for_rows<A>(shape, 2 * count, [&](int64_t r, A* share) {
    A* gain = share + count;
    const A whole = merged_lse.data<A>()[r];
    const bool empty = std::isinf(whole) && whole < 0;
    const T* go = row_of(dout, shape, r);
    A mean = 0;
    for (size_t p = 0; p < count; ++p) {
      share[p] = empty ? A{0} : std::exp(parts.lse[p][r] - whole);
      const A factor = static_cast<A>(factor_of(factors, p));
      const T* out = row_of(parts.out[p], shape, r);
      T* into = row_of(douts[p], shape, r);
      gain[p] = 0;
      for (int64_t d = 0; d < shape[3]; ++d) {
        gain[p] += factor * static_cast<A>(go[d]) * static_cast<A>(out[d]);
        into[d] = static_cast<T>(factor * share[p] * static_cast<A>(go[d]));
      }
      mean += share[p] * gain[p];
    }
    const A more = dlse.defined() ? dlse.data<A>()[r] : A{0};
    for (size_t p = 0; p < count; ++p) to[p].lse.data<A>()[r] = share[p] * (gain[p] - mean + more);
  });
}

MergeRows rows_on_device(const Tensor& x) {
  return {x.raw(), x.stride(0), x.stride(1), x.stride(2)};
}

Merge shape_of_merge(const Tensor& out) {
  Merge m{};
  m.dtype = out.dtype();
  m.rows = out.size(0) * out.size(1) * out.size(2);
  m.heads = out.size(1);
  m.tokens = out.size(2);
  m.width = out.size(3);
  return m;
}

/// Parts on a device with what of them the kernels read.
struct DeviceParts {
  std::vector<Tensor> kept;
  std::vector<MergePart> parts;

  DeviceParts(const std::vector<AttentionOutput>& all, const std::vector<double>& factors) {
    for (size_t p = 0; p < all.size(); ++p) {
      const Tensor out = attn::with_contiguous_rows(all[p].out);
      const Tensor lse = contiguous_as(all[p].lse, all[p].lse.dtype());
      kept.insert(kept.end(), {out, lse});
      parts.push_back({rows_on_device(out), lse.raw(), factor_of(factors, p), {}, nullptr});
    }
  }
};

void merge_on_device(const std::vector<AttentionOutput>& all, const std::vector<double>& factors,
                     const AttentionOutput& to) {
  const DeviceParts parts(all, factors);
  const Tensor table = device_bytes(parts.parts, to.out.device());
  Merge m = shape_of_merge(to.out);
  m.count = std::ssize(all);
  m.parts = static_cast<const MergePart*>(table.raw());
  m.out = rows_on_device(to.out);
  m.lse = to.lse.raw();
  merge_cuda({"merge_attentions", all[0].out, all[0].lse}, m);
}

void merge_backward_on_device(const Tensor& dout, const Tensor& dlse,
                              const std::vector<AttentionOutput>& all, const Tensor& merged_lse,
                              const std::vector<double>& factors,
                              const std::vector<AttentionOutput>& to) {
  DeviceParts parts(all, factors);
  for (size_t p = 0; p < all.size(); ++p) {
    parts.parts[p].dout = rows_on_device(to[p].out);
    parts.parts[p].dlse = to[p].lse.raw();
  }
  const Tensor table = device_bytes(parts.parts, dout.device());
  Merge m = shape_of_merge(dout);
  m.count = std::ssize(all);
  m.parts = static_cast<const MergePart*>(table.raw());
  m.out = rows_on_device(dout);
  m.lse = merged_lse.raw();
  m.dlse = dlse.defined() ? dlse.raw() : nullptr;
  merge_backward_cuda({"merge_attentions backward", dout, dlse, merged_lse, all[0].out}, m);
}

void merge_into_on_device(const AttentionOutput& whole, const AttentionOutput& part,
                          const std::vector<double>& shift) {
  const Tensor rows = attn::with_contiguous_rows(part.out);
  const Tensor lse = contiguous_as(part.lse, part.lse.dtype());
  const Tensor shifts = device_bytes(shift, whole.out.device());
  const Merge shape = shape_of_merge(whole.out);
  merge_into_cuda(
      {"merge_into", whole.out, whole.lse, part.out, part.lse},
      {part.out.dtype(), shape.rows, shape.heads, shape.tokens, shape.width, rows_on_device(rows),
       lse.raw(), shift.empty() ? nullptr : static_cast<const double*>(shifts.raw()),
       whole.out.raw(), whole.lse.raw()});
}

}  // namespace

AttentionOutput merge_attentions(const std::vector<AttentionOutput>& parts,
                                 const std::vector<double>& factors) {
  check(parts, factors);
  const Tensor& first = parts[0].out;
  const AttentionOutput to{
      attn::token_major(first),
      Tensor::empty(parts[0].lse.shape(), parts[0].lse.dtype(), first.device())};
  if (first.device().is_cuda()) {
    merge_on_device(parts, factors, to);
    return to;
  }
  dispatch_floating(first.dtype(), "merge_attentions", [&](auto type) {
    using T = decltype(type);
    merge<T, accumulate_t<T>>(parts, factors, to);
  });
  return to;
}

void merge_into(const AttentionOutput& whole, const AttentionOutput& part,
                const std::vector<double>& shift) {
  const Shape& shape = whole.out.shape();
  HEED_CHECK(shape.rank() == 4 && part.out.shape() == shape &&
                 whole.lse.shape() == (Shape{shape[0], shape[1], shape[2]}) &&
                 part.lse.shape() == whole.lse.shape() && part.lse.dtype() == whole.lse.dtype(),
             "merge_into: {} with lse {}, and {} with {}", whole.out, whole.lse, part.out,
             part.lse);
  HEED_CHECK(whole.out.is_contiguous() && whole.lse.is_contiguous() &&
                 whole.out.dtype() == whole.lse.dtype() &&
                 (shift.empty() || static_cast<int64_t>(shift.size()) == shape[1]),
             "merge_into: into {} and {}, with {} shifts", whole.out, whole.lse, shift.size());
  if (whole.out.device().is_cuda()) return merge_into_on_device(whole, part, shift);
  dispatch_floating(part.out.dtype(), "merge_into", [&](auto type) {
    using T = decltype(type);
    add_part<T, accumulate_t<T>>(whole, part, shift);
  });
}

std::vector<AttentionOutput> merge_attentions_backward(const Tensor& dout, const Tensor& dlse,
                                                       const std::vector<AttentionOutput>& parts,
                                                       const Tensor& lse,
                                                       const std::vector<double>& factors) {
  check(parts, factors);
  std::vector<AttentionOutput> to;
  for (const AttentionOutput& part : parts)
    to.push_back({attn::token_major(part.out),
                  Tensor::empty(part.lse.shape(), part.lse.dtype(), part.lse.device())});
  const Tensor rows = attn::with_contiguous_rows(dout);
  const Tensor more = dlse.defined() ? contiguous_as(dlse, lse.dtype()) : dlse;
  if (dout.device().is_cuda()) {
    merge_backward_on_device(rows, more, parts, lse, factors, to);
    return to;
  }
  dispatch_floating(dout.dtype(), "merge_attentions", [&](auto type) {
    using T = decltype(type);
    merge_backward<T, accumulate_t<T>>(rows, more, parts, lse, factors, to);
  });
  return to;
}

}  // namespace heed::kernels
