// The folder of questions that a script of this folder gives to test_interop.
#pragma once

#include <string>

namespace heed::interop {

const std::string& folder();

}  // namespace heed::interop
