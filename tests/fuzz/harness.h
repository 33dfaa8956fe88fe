// What the harnesses share: a text or file may be read or refused with a RequestError; anything
// else (another exception, a sanitizer's finding, a broken promise) is a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core/error.h"

namespace heed {

/// Ends the run with a message unless a promise holds.
inline void promise(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

/// Runs the reader; a refusal is fine.
template <class Read>
int read_or_refuse(Read&& read) {
  try {
    read();
  } catch (const RequestError&) {
  }
  return 0;
}

/// Runs work on what was accepted, where a refusal is a finding.
template <class Work>
void never_refused(Work&& work) {
  try {
    work();
  } catch (const RequestError& error) {
    promise(false, error.what());
  }
}

}  // namespace heed

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);
