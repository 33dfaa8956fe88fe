// The C++ standard library's headers as a corpus: real text on every machine with a C++ compiler.
#pragma once

#include <string>

#include "core/options.h"
#include "data/text_dataset.h"

namespace heed::data {

struct CppHeadersOptions {
  std::string folder;
  std::vector<std::string> fallback;
  TextOptions text;

  CppHeadersOptions();
  void options(Options& o);
};

/// The folder of the C++ standard library's headers: the newest version below /usr/include/c++ (or
/// the other usual places), else what the compiler $CXX or `c++` names as its own; "" when neither
/// is there.
std::string find_cpp_headers();

/// Opens the dataset "cpp-headers": the headers found, in order of their paths, or else the files
/// of `fallback`. The dataset's summary says which.
std::unique_ptr<TextDataset> open_cpp_headers(const CppHeadersOptions& options,
                                              const SourceLocation& where = {});

}  // namespace heed::data
