#pragma once

namespace heed::kernels {

/// The recurrent cells of rnn.h.
enum class RnnCell { gru, lstm };

}  // namespace heed::kernels
