#include "data/hold_out.h"

namespace heed::data {

void HoldOutOptions::options(Options& o) {
  o.field("hold_out", hold_out, "fraction for validation, where no such part is given",
          {.min = 0, .below = 1});
  o.field("hold_out_test", hold_out_test, "fraction for testing, where no such part is given",
          {.min = 0, .below = 1});
  o.check(hold_out + hold_out_test < 1, "hold_out_test", "nothing would be left to train on");
}

}  // namespace heed::data
