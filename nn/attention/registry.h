// The registry of attention mechanisms: what `attention: {type: ...}` can name. Adding one is a
// header, a source and a line in registry.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/attention/mechanism.h"
#include "nn/slot.h"

namespace heed::nn {

struct AttentionEntry : SlotEntry<AttentionMechanism, AttentionHost> {
  bool causal = true;         ///< fits models in which a token sees only the past
  bool bidirectional = true;  ///< fits models in which every token sees every other
  std::string unsuited;       ///< why not, where one of the two is false
};

/// All mechanisms, sorted by name.
const std::vector<AttentionEntry>& attention_registry();

/// The entry of that name or alias; a RequestError with a suggestion otherwise.
const AttentionEntry& find_attention(const std::string& name, const SourceLocation& where = {});

/// Builds what a slot asks for: a name ("softmax"), a map with `type` and the mechanism's own keys,
/// or null for softmax. A RequestError when the mechanism does not suit the host, saying why.
std::unique_ptr<AttentionMechanism> make_attention(const Config& slot, const AttentionHost& host);

}  // namespace heed::nn
