// What a request's error says, for tests that compare messages.
#pragma once

#include <string>

#include "core/error.h"

namespace heed {

/// The message of the RequestError that `work` throws; "no error" when it throws none.
template <class Work>
std::string request_error(Work&& work) {
  try {
    work();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace heed
