#include "distributed/shared_tokens.h"

#include "autograd/ops/index.h"
#include "core/views.h"
#include "distributed/collectives.h"
#include "kernels/copy/copy.h"

namespace heed {
namespace {

/// Copies between a whole tensor, tokens along `dim`, and the ranks' tensors one after another:
/// [ranks, ...].
void copy_tokens(const Tensor& whole, const Tensor& by_rank, int dim, TokenLayout layout,
                 bool to_ranks) {
  const int64_t ranks = by_rank.size(0);
  for (int64_t rank = 0; rank < ranks; ++rank) {
    const Tensor part = views::select(by_rank, 0, rank);
    int64_t first = 0;
    for (const TokenRun& run : token_runs(layout, whole.size(dim), ranks, rank)) {
      if (run.count == 0) continue;
      const Tensor here = views::slice(part, dim, first, first + run.count);
      const Tensor there = views::slice(whole, dim, run.first, run[run.count - 1] + 1, run.step);
      if (to_ranks)
        kernels::copy(there, here);
      else
        kernels::copy(here, there);
      first += run.count;
    }
  }
}

/// [B, H, n, D] as [N, B, H / N, n, D].
Tensor by_heads(const Tensor& x, int64_t ranks) {
  return views::as_strided(
      x, {ranks, x.size(0), x.size(1) / ranks, x.size(2), x.size(3)},
      {x.stride(1) * (x.size(1) / ranks), x.stride(0), x.stride(1), x.stride(2), x.stride(3)});
}

Tensor to_heads(const Tensor& x, Communicator& ranks, TokenLayout layout) {
  const Tensor sent = kernels::contiguous(by_heads(x, ranks.size()));
  const Tensor came = Tensor::empty(sent.shape(), x.dtype());
  ranks.all_to_all(sent, came);
  const Tensor whole = Tensor::empty(
      {x.size(0), x.size(1) / ranks.size(), x.size(2) * ranks.size(), x.size(3)}, x.dtype());
  copy_tokens(whole, came, 2, layout, false);
  return whole;
}

Tensor to_tokens(const Tensor& x, Communicator& ranks, TokenLayout layout) {
  const int64_t size = ranks.size(), own = x.size(2) / size;
  const Tensor sent = Tensor::empty({size, x.size(0), x.size(1), own, x.size(3)}, x.dtype());
  copy_tokens(x, sent, 2, layout, true);
  const Tensor came = Tensor::empty(sent.shape(), x.dtype());
  ranks.all_to_all(sent, came);
  const Tensor tokens = Tensor::empty({x.size(0), x.size(1) * size, own, x.size(3)}, x.dtype());
  kernels::copy(came, by_heads(tokens, size));
  return tokens;
}

}  // namespace

Tensor gather_tokens(const Tensor& x, int dim, Communicator& ranks, TokenLayout layout) {
  const Tensor all = all_gather(x, dim, ranks);
  if (ranks.size() == 1 || layout == TokenLayout::contiguous) return all;
  // Where each token of the sequence stands among the ranks' side by side.
  std::vector<int64_t> place(static_cast<size_t>(all.size(dim)));
  int64_t next = 0;
  for (int64_t rank = 0; rank < ranks.size(); ++rank)
    for (const int64_t token : token_positions(layout, all.size(dim), ranks.size(), rank))
      place[static_cast<size_t>(token)] = next++;
  return index_select(all, dim, Tensor::from(place, {all.size(dim)}));
}

Tensor tokens_to_heads(const Tensor& x, Communicator& ranks, TokenLayout layout) {
  if (ranks.size() == 1) return x;
  HEED_CHECK(x.rank() == 4 && x.size(1) % ranks.size() == 0, "tokens_to_heads: {} over {} ranks", x,
             ranks.size());
  return record(
      "tokens_to_heads", {x}, to_heads(x, ranks, layout),
      [&ranks, layout](const Tensor& dy) { return Gradients{to_tokens(dy, ranks, layout)}; });
}

Tensor heads_to_tokens(const Tensor& x, Communicator& ranks, TokenLayout layout) {
  if (ranks.size() == 1) return x;
  HEED_CHECK(x.rank() == 4 && x.size(2) % ranks.size() == 0, "heads_to_tokens: {} over {} ranks", x,
             ranks.size());
  return record(
      "heads_to_tokens", {x}, to_tokens(x, ranks, layout),
      [&ranks, layout](const Tensor& dy) { return Gradients{to_heads(dy, ranks, layout)}; });
}

}  // namespace heed
