// A shared library that is opened when something first needs it. CUDA's are hundreds of megabytes
// and have to be fitted to their addresses when they are loaded, which a run on the CPU should not
// wait for.
#pragma once

#include <dlfcn.h>

#include <string>

#include "core/error.h"

namespace heed {

/// Never closed.
class SharedLibrary {
 public:
  /// A place in the library that takes the type of the function pointer it is given to.
  struct Symbol {
    void* address;
    template <class F>
    operator F*() const {  // NOLINT(google-explicit-constructor)
      return reinterpret_cast<F*>(address);
    }
  };

  /// Opens `name` where the system's loader finds it (LD_LIBRARY_PATH, ldconfig), else in `folder`.
  /// An Error where it is in neither.
  SharedLibrary(const std::string& name, const std::string& folder)
      : name_(name), handle_(dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    if (handle_ == nullptr) handle_ = dlopen((folder + "/" + name).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (handle_ == nullptr)
      fail("{} cannot be opened: it is neither where the system looks (LD_LIBRARY_PATH) nor in {}",
           name_, folder);
  }

  /// An Error where it has no such function.
  Symbol find(const char* function) const {
    void* address = dlsym(handle_, function);
    if (address == nullptr) fail("{} has no function {}", name_, function);
    return {address};
  }

 private:
  std::string name_;
  void* handle_;
};

}  // namespace heed
