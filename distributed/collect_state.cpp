#include "distributed/collect_state.h"

#include <algorithm>
#include <numeric>

#include "kernels/copy/copy.h"

namespace heed {

HeldTensor held_by_all(const std::string& name, const Tensor& tensor) {
  return {.name = name, .tensor = tensor, .shape = tensor.shape(), .dtype = tensor.dtype()};
}

// The largest first, each to the rank that has least: within 4/3 of the best (Graham 1969).
std::vector<int> share_out(const std::vector<HeldTensor>& state, int ranks) {
  std::vector<size_t> order(state.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&state](size_t a, size_t b) { return state[a].bytes() > state[b].bytes(); });
  std::vector<int> owners(state.size());
  std::vector<int64_t> bytes(static_cast<size_t>(ranks));
  for (const size_t i : order) {
    const auto least = std::min_element(bytes.begin(), bytes.end());
    *least += state[i].bytes();
    owners[i] = static_cast<int>(least - bytes.begin());
  }
  return owners;
}

std::vector<std::pair<std::string, Tensor>> collect(const std::vector<HeldTensor>& state,
                                                    const std::vector<int>& owners,
                                                    Communicator& ranks) {
  HEED_CHECK(owners.size() == state.size(), "collect: {} owners of {} tensors", owners.size(),
             state.size());
  std::vector<std::pair<std::string, Tensor>> own;
  Work all;
  const int rank = ranks.rank();
  for (size_t i = 0; i < state.size(); ++i) {
    const HeldTensor& held = state[i];
    const bool mine = owners[i] == rank;
    if (held.shares.empty()) {
      if (mine) own.emplace_back(held.name, held.tensor);
      continue;
    }
    const auto share_of = [&held](int r) { return held.shares[static_cast<size_t>(r)]; };
    if (!mine) {
      if (share_of(rank).size() > 0) all.join(ranks.start_send(held.tensor, owners[i]));
      continue;
    }
    const Tensor whole =
        Tensor::empty(held.shape, held.dtype, held.tensor.defined() ? held.tensor.device() : kCpu);
    for (int r = 0; r < ranks.size(); ++r) {
      if (share_of(r).size() == 0) continue;
      const Tensor part = flat_range(whole, share_of(r));
      if (r == rank) {
        kernels::copy(held.tensor, part);
      } else {
        all.join(ranks.start_receive(part, r));
      }
    }
    own.emplace_back(held.name, whole);
  }
  all.wait();
  return own;
}

}  // namespace heed
