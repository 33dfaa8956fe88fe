#include "nn/attention/registry.h"

#include <algorithm>

#include "nn/attention/averaged_query_attention.h"
#include "nn/attention/gated_linear_attention.h"
#include "nn/attention/grid_attention.h"
#include "nn/attention/large_kernel_attention.h"
#include "nn/attention/linear_attention.h"
#include "nn/attention/linformer_attention.h"
#include "nn/attention/local_linear_attention.h"
#include "nn/attention/neighborhood_attention.h"
#include "nn/attention/power_attention.h"
#include "nn/attention/routing_attention.h"
#include "nn/attention/selective_attention.h"
#include "nn/attention/softmax_attention.h"
#include "nn/attention/window_attention.h"

namespace heed::nn {
namespace {

struct Description {
  const char* name;
  std::vector<std::string> aliases;
  const char* summary;
  const char* source;
  bool causal = true;
  bool bidirectional = true;
  const char* unsuited = "";
};

template <class Mechanism, class Own>
AttentionEntry entry(const Description& d) {
  AttentionEntry e;
  e.name = d.name;
  e.aliases = d.aliases;
  e.summary = d.summary;
  e.source = d.source;
  e.causal = d.causal;
  e.bidirectional = d.bidirectional;
  e.unsuited = d.unsuited;
  made_of<Mechanism, Own>(e, "attention");
  return e;
}

std::vector<AttentionEntry> all_entries() {
  std::vector<AttentionEntry> entries = {
      entry<SoftmaxAttention, SoftmaxAttentionOptions>(
          {"softmax",
           {"full"},
           "softmax over all pairs, multi-head or grouped-query",
           "Vaswani et al. 2017, eq. 1; arXiv 2305.13245"}),
      entry<WindowAttention, WindowAttentionOptions>(
          {"window",
           {"sliding_window", "local"},
           "softmax over a sliding window, with sink tokens",
           "arXiv 2004.05150, section 3; arXiv 2309.17453"}),
      entry<PowerAttention, PowerAttentionOptions>(
          {"power",
           {},
           "blocks at distances of powers of two, nearest and first blocks",
           "arXiv 2503.03588, algorithm 1",
           true,
           false,
           "it looks into the past alone"}),
      entry<RoutingAttention, RoutingOptions>({"routing",
                                               {},
                                               "tokens see those of their cluster, by online "
                                               "k-means of each head's queries; some heads "
                                               "may look at near blocks",
                                               "arXiv 2003.05997, algorithm 1"}),
      entry<SelectiveAttention, SelectiveOptions>(
          {"selective",
           {},
           "softmax attention with temperatures of queries and values by token and position",
           "arXiv 2411.12892"}),
      entry<AveragedQueryAttention, AveragedQueryOptions>(
          {"averaged_query",
           {"l_query"},
           "softmax attention that looks up what the mean of the last tokens asks for",
           "arXiv 2311.01056",
           true,
           false,
           "its mean is of the past"}),
      entry<LargeKernelAttention, LargeKernelOptions>(
          {"large_kernel",
           {"lka"},
           "the input times a large convolution of it, decomposed: no softmax, linear in the "
           "pixels",
           "arXiv 2202.09741, eq. 3",
           false,
           true,
           "its convolutions reach to both sides"}),
      entry<LinearAttention, LinearAttentionOptions>(
          {"linear_attention",
           {"linear"},
           "products of feature maps in place of the softmax: linear time, a state of constant "
           "size",
           "arXiv 2006.16236, eq. 4-6; arXiv 2202.08791"}),
      entry<LinformerAttention, LinformerOptions>(
          {"linformer",
           {},
           "softmax over a few projections of all keys and values: linear time",
           "arXiv 2006.04768, eq. 7",
           false,
           true,
           "its keys are sums over all tokens"}),
      entry<GatedLinearAttention, GatedLinearOptions>(
          {"gated_linear",
           {"retention"},
           "linear attention whose state decays: by head, by token or by channel",
           "arXiv 2307.08621; arXiv 2405.05254; arXiv 2312.06635",
           true,
           false,
           "its decays run from the past"}),
      entry<LocalLinearAttention, LocalLinearAttentionOptions>(
          {"local_linear",
           {"lla"},
           "a ridge regression around every query, weighted by the softmax: its value at the query",
           "arXiv 2510.01450"}),
      entry<NeighborhoodAttention, NeighborhoodOptions>(
          {"neighborhood",
           {"dilated_neighborhood"},
           "the nearest tokens on a map or sequence, with dilation and stride",
           "arXiv 2204.07143, eq. 1-3; arXiv 2209.15001; arXiv 2403.04690; arXiv 2504.16922"}),
      entry<WindowPartitionAttention, WindowPartitionOptions>(
          {"window_partition",
           {"swin"},
           "windows side by side on a map or sequence, shifted in every second layer if asked",
           "arXiv 2103.14030; arXiv 2204.03645",
           false,
           true,
           "its windows hold tokens to both sides"}),
      entry<HaloAttention, HaloOptions>({"halo",
                                         {},
                                         "blocks of a map or sequence that see a halo around them",
                                         "arXiv 2103.12731",
                                         false,
                                         true,
                                         "a halo reaches to both sides"}),
  };
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  return entries;
}

}  // namespace

const std::vector<AttentionEntry>& attention_registry() {
  static const std::vector<AttentionEntry> entries = all_entries();
  return entries;
}

const AttentionEntry& find_attention(const std::string& name, const SourceLocation& where) {
  return find_slot(attention_registry(), "attention", name, where);
}

std::unique_ptr<AttentionMechanism> make_attention(const Config& slot, const AttentionHost& host) {
  const auto [entry, own] = read_slot(attention_registry(), "attention", slot, "softmax");
  if (host.causal ? !entry->causal : !entry->bidirectional) {
    fail_request(slot.where(),
                 fmt::format("attention '{}' does not suit a {} model: {}", entry->name,
                             host.causal ? "causal" : "bidirectional", entry->unsuited));
  }
  return entry->make(own, host);
}

}  // namespace heed::nn
