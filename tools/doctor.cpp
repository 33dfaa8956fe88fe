// heed doctor: what this machine and this build can do.
#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <memory>

#include "core/allocator.h"
#include "core/files.h"
#include "tools/command.h"
#include "tools/install_paths.h"
#include "tools/machine.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

/// A backend that a build may or may not contain.
struct Backend {
  const char* name;
  const char* purpose;
  bool built;
  const char* version = "";
};

// The command's own compile definitions say which were found when it was configured.
const Backend kBackends[] = {
    {"CUDA", "training on NVIDIA GPUs", HEED_WITH_CUDA != 0},
    {"NCCL", "several GPUs", HEED_WITH_NCCL != 0, HEED_NCCL_VERSION},
    {"MPI", "several processes", HEED_WITH_MPI != 0},
};

std::string data_folder() {
  const char* folder = std::getenv("HEED_DATA");
  return folder == nullptr ? "" : folder;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

void doctor(bool json) {
  const Machine machine = this_machine();
  const double f32 = product_rate_f32();
  const double bf16 = product_rate_bf16();
  const AllocatorStats memory = allocator::stats();
  const std::string data = data_folder();
  const bool data_exists = !data.empty() && std::filesystem::is_directory(data);

  if (json) {
    Config rates = Config::map();
    rates.set("f32_gflops", f32);
    rates.set("bf16_gflops", bf16);
    Config instructions = Config::list();
    for (const std::string& name : machine.instructions) instructions.append(name);
    Config allocator = Config::map();
    allocator.set("peak_bytes", memory.peak_bytes);
    allocator.set("cached_bytes", memory.cached_bytes);
    allocator.set("system_calls", memory.system_calls);
    Config build = Config::map();
    build.set("version", HEED_VERSION);
    build.set("type", HEED_BUILD_TYPE);
    build.set("compiler", HEED_COMPILER);
    build.set("onednn", machine.onednn);
    for (const Backend& backend : kBackends) build.set(backend.name, backend.built);
    Config document = Config::map();
    document.set("cpu", machine.cpu);
    document.set("cores", machine.cores);
    document.set("threads", machine.threads);
    document.set("instructions", instructions);
    document.set("memory_bytes", machine.memory_bytes);
    document.set("available_bytes", machine.available_bytes);
    document.set("matrix_product", rates);
    document.set("allocator", allocator);
    document.set("build", build);
    document.set("recipes", recipes_folder());
    document.set("data", data_exists ? Config(data) : Config());
    return print_json(document);
  }

  Table table;
  table.row({"processor", machine.cpu});
  table.row({"threads", fmt::format("{} of {} {} (OMP_NUM_THREADS changes it)", machine.threads,
                                    machine.cores, machine.cores == 1 ? "core" : "cores")});
  table.row({"instructions", joined(machine.instructions)});
  table.row({"memory", fmt::format("{}, {} available", format_bytes(machine.memory_bytes),
                                   format_bytes(machine.available_bytes))});
  table.row({"matrix product",
             fmt::format("{:.0f} GFLOP/s f32, {:.0f} GFLOP/s bf16 (1024 x 1024, measured now)", f32,
                         bf16)});
  table.row({"allocator", fmt::format("caching; this took {} at its peak, in {} blocks from the "
                                      "system",
                                      format_bytes(memory.peak_bytes), memory.system_calls)});
  fmt::print("machine\n{}\n", table.to_string());

  Table build;
  build.row({"heed", fmt::format("{} ({}, {})", HEED_VERSION, HEED_BUILD_TYPE, HEED_COMPILER)});
  build.row({"oneDNN", machine.onednn});
  for (const Backend& backend : kBackends) {
    build.row({backend.name, backend.built
                                 ? fmt::format("{}{}in this build", backend.version,
                                               *backend.version == '\0' ? "" : ", ")
                                 : fmt::format("not in this build ({})", backend.purpose)});
  }
  fmt::print("build\n{}\n", build.to_string());

  Table files;
  const std::string recipes = recipes_folder();
  files.row({"recipes", recipes.empty() ? "not found beside this command" : recipes});
  files.row({"HEED_DATA", data.empty()  ? "not set: recipes and tests on real data need it"
                          : data_exists ? data
                                        : data + " (no such folder)"});
  fmt::print("files\n{}", files.to_string());
}

}  // namespace

void add_doctor(CLI::App& heed) {
  auto json = std::make_shared<bool>(false);
  CLI::App* command =
      add_command(heed, "doctor", "says what this machine and this build can do", "what there is");
  command->add_flag("--json", *json, "print one JSON document");
  command->callback([json] { doctor(*json); });
}

}  // namespace heed::tools
