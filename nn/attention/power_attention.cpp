#include "nn/attention/power_attention.h"

#include <map>

namespace heed::nn {
namespace {

const std::map<std::string, BlockRule>& rules() {
  static const std::map<std::string, BlockRule> all = {{"power", BlockRule::power},
                                                       {"sliding", BlockRule::sliding},
                                                       {"stride", BlockRule::stride},
                                                       {"dilated", BlockRule::dilated},
                                                       {"longnet", BlockRule::longnet}};
  return all;
}

std::vector<std::string> rule_names() {
  std::vector<std::string> names;
  for (const auto& [name, rule] : rules()) names.push_back(name);
  return names;
}

}  // namespace

void PowerAttentionOptions::options(Options& o) {
  o.field("rule", rule,
          "which blocks see each other: the paper's, or one of those that it is compared with",
          {.one_of = rule_names()});
  o.field("block", block, "tokens of a block", {.min = 1});
  o.field("window", window,
          "nearest blocks, the own included; dilated: blocks of which every second is seen",
          {.min = 1});
  o.field("sinks", sinks, "first blocks, which all see; none of dilated and longnet", {.min = 0});
  o.field("stride", stride, "stride: distance between the far blocks, in blocks", {.min = 1});
}

PowerAttention::PowerAttention(const AttentionHost& host, const PowerAttentionOptions& options)
    : PatternAttention(host),
      blocks_{.block = options.block,
              .window = options.window,
              .sinks = options.sinks,
              .rule = rules().at(options.rule),
              .stride = options.stride} {}

AttentionPattern PowerAttention::pattern(const PatternRequest& request) const {
  return power_blocks(request.queries, request.keys, request.offset, blocks_);
}

}  // namespace heed::nn
