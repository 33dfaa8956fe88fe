#include "nn/losses/loss.h"

#include <fmt/format.h>

namespace heed::nn {

void reduction_field(Options& o, std::string& reduction, const char* what) {
  const std::string doc = fmt::format("one number of all {}, or each one's loss (none)", what);
  o.field("reduction", reduction, doc.c_str(), {.one_of = {"mean", "sum", "none"}});
}

Reduction reduction_named(const std::string& name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  HEED_CHECK(name == "none", "loss: unknown reduction '{}'", name);
  return Reduction::none;
}

}  // namespace heed::nn
