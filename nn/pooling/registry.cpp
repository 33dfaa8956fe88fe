#include "nn/pooling/registry.h"

#include "nn/pooling/additive.h"
#include "nn/pooling/lama.h"
#include "nn/pooling/plain.h"

namespace heed::nn {
namespace {

template <class Made, class Own>
PoolingEntry entry(const char* name, std::vector<std::string> aliases, const char* summary,
                   const char* source) {
  PoolingEntry e;
  e.name = name;
  e.aliases = std::move(aliases);
  e.summary = summary;
  e.source = source;
  made_of<Made, Own>(e, "pooling");
  return e;
}

}  // namespace

void PoolingHost::options(Options& o) {
  o.field("dim", dim, "features of a token", {.min = 1, .required = true});
  o.field("bidirectional", bidirectional,
          "the second half of the features was read from the end to the beginning");
  o.check(!bidirectional || dim % 2 == 0, "dim", "two directions have an even dim");
}

const std::vector<PoolingEntry>& pooling_registry() {
  static const std::vector<PoolingEntry> entries = {
      entry<AdditivePooling, AdditivePoolingOptions>(
          "additive", {"self_attentive"}, "tokens weighted by a small network of each, summed",
          "Yang et al. 2016, eq. 5-7; arXiv 1703.03130, eq. 5-6"),
      entry<Lama, LamaOptions>(
          "lama", {},
          "tokens weighted by products of theirs and of one context vector, of rank one a head",
          "arXiv 1912.00835"),
      entry<LastPooling, NoPoolingOptions>(
          "last", {}, "the last token; of both directions each one's last state", ""),
      entry<MeanPooling, NoPoolingOptions>("mean", {}, "the mean of the tokens", ""),
  };
  return entries;
}

std::unique_ptr<Pooling> make_pooling(const Config& slot, const PoolingHost& host) {
  const auto [entry, own] = read_slot(pooling_registry(), "pooling", slot, "mean");
  return entry->make(own, host);
}

}  // namespace heed::nn
