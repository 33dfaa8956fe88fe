#include "tools/plan_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/files.h"
#include "core/readable.h"
#include "tools/text.h"

namespace heed::tools {
namespace {

using recipes::name_of;
using recipes::Plan;
using recipes::PlannedRun;
using recipes::RankMemory;

std::string bytes_text(double bytes) { return format_bytes(static_cast<int64_t>(bytes)); }

/// "data 2 x sequence 4, shard optimizer, ring"
std::string how_text(const PlannedRun& run) {
  std::string text = run.share.mesh.to_string();
  if (run.share.sharding != Sharding::none) {
    text += fmt::format(", shard {}", name_of(run.share.sharding));
  }
  if (run.share.mesh.sequence > 1) text += fmt::format(", {}", name_of(run.share.method));
  if (run.share.mesh.pipeline > 1) {
    text += fmt::format(", {} micro-batches of {}", run.share.micro_batches, run.share.rows);
  }
  return text;
}

std::string head_text(const Plan& plan) {
  const recipes::MachineDescription& machine = plan.request.machine;
  const int64_t count = plan.model.parameter_count();
  std::string text =
      fmt::format("{}: {} parameters, {}, {} {}", plan.name, compact(static_cast<double>(count)),
                  plan.precision, plan.rows_per_step, plan.model.item);
  if (plan.model.tokens > 0) text += fmt::format(" of {} tokens", grouped(plan.model.tokens));
  text += fmt::format(" a step\n{} {} of {}: {}\n\n", plan.request.ranks,
                      plan.request.ranks == 1 ? "rank" : "ranks", machine.name,
                      machine.description.empty() ? "as the file says" : machine.description);
  return text;
}

std::string verdict_text(const Plan& plan) {
  const double room = plan.request.machine.usable_bytes();
  const PlannedRun& best = plan.best;
  std::string text =
      fmt::format("{}: {}\n", plan.request.mesh ? "mesh" : "best mesh", how_text(best));
  text += fmt::format("{}: {} of {} on the fullest rank\n", best.fits ? "fits" : "does not fit",
                      bytes_text(static_cast<double>(best.memory.total)), bytes_text(room));
  if (best.fits) return text;
  std::vector<std::string> ways;
  if (!best.share.checkpointing && plan.model.known &&
      plan.other_checkpointing.total < best.memory.total) {
    ways.push_back(fmt::format("--checkpointing on ({})",
                               bytes_text(static_cast<double>(plan.other_checkpointing.total))));
  }
  if (best.share.mesh.data > 1 && best.share.sharding != Sharding::parameters) {
    ways.push_back(fmt::format("--shard parameters ({})",
                               bytes_text(static_cast<double>(plan.by_sharding.back().total))));
  }
  if (plan.rows_per_step > 1) ways.emplace_back("fewer rows a micro-batch (train.accumulation)");
  ways.emplace_back("more ranks");
  return text + fmt::format("  what helps: {}\n", fmt::join(ways, "; "));
}

std::string time_text(const Plan& plan) {
  const recipes::StepTime& time = plan.best.time;
  Table table({"step", "", ""}, {1});
  table.row({"predicted", duration_text(time.total()),
             fmt::format("{} {}/s", compact(plan.tokens_per_second()),
                         plan.model.tokens > 0 ? "tokens" : plan.model.item)});
  const auto part = [&](const char* name, double seconds, const char* note) {
    if (seconds <= 0.0) return;
    table.row({fmt::format("  {}", name), duration_text(seconds),
               fmt::format("{:.0f}%{}{}", 100 * seconds / time.total(), *note ? ", " : "", note)});
  };
  part("products", time.products, "matrices and attention");
  part("memory", time.memory, "activations and the optimiser");
  part("data", time.data, "not hidden behind the backward pass");
  part("sequence", time.sequence, "not hidden behind attention");
  part("tensor", time.tensor, "");
  part("pipeline", time.pipeline, "");
  part("waiting", time.waiting, "the pipeline fills and drains");
  return table.to_string(0) + "\n";
}

std::string memory_text(const Plan& plan) {
  std::vector<std::string> header{"memory of a rank"};
  std::vector<int> right;
  for (const Sharding sharding : recipes::kShardings) {
    header.push_back(fmt::format("shard {}", name_of(sharding)));
    right.push_back(static_cast<int>(right.size()) + 1);
  }
  Table table(header, right);
  const auto row = [&](const char* name, int64_t RankMemory::*field) {
    std::vector<std::string> cells{name};
    int64_t most = 0;
    for (const RankMemory& memory : plan.by_sharding) {
      cells.push_back(bytes_text(static_cast<double>(memory.*field)));
      most = std::max(most, memory.*field);
    }
    if (most > 0) table.row(cells);
  };
  row("  parameters", &RankMemory::parameters);
  row("  gradients", &RankMemory::gradients);
  row("  optimizer", &RankMemory::optimizer);
  row("  average", &RankMemory::average);
  row("  activations", &RankMemory::activations);
  row("    attention's own", &RankMemory::attention);
  row("  working", &RankMemory::working);
  row("  under way", &RankMemory::communication);
  std::vector<std::string> totals{"  total"};
  for (const RankMemory& memory : plan.by_sharding) {
    totals.push_back(bytes_text(static_cast<double>(memory.total)));
  }
  table.row(totals);
  std::string text = table.to_string(0);
  if (plan.model.known) {
    text +=
        fmt::format("  {} checkpointing: {}\n", plan.best.share.checkpointing ? "without" : "with",
                    bytes_text(static_cast<double>(plan.other_checkpointing.total)));
  }
  if (plan.by_stage.size() > 1) {
    text += "  by pipeline stage:";
    for (const RankMemory& memory : plan.by_stage) {
      text += fmt::format(" {}", bytes_text(static_cast<double>(memory.total)));
    }
    text += "\n";
  }
  return text + "\n";
}

std::string traffic_text(const Plan& plan) {
  const recipes::StepTraffic& sent = plan.best.traffic;
  const MeshShape& mesh = plan.best.share.mesh;
  if (sent.bytes() == 0.0) return "";
  Table table({"sent by a rank a step", "ranks", "bytes", "messages"}, {1, 2, 3});
  const auto row = [&](const char* axis, int64_t ranks, const recipes::AxisTraffic& traffic) {
    if (traffic.bytes == 0.0) return;
    table.row({fmt::format("  {}", axis), fmt::format("{}", ranks), bytes_text(traffic.bytes),
               compact(traffic.messages)});
  };
  row(mesh.sequence > 1 ? "data (and sequence)" : "data", mesh.data * mesh.sequence, sent.data);
  row("sequence", mesh.sequence, sent.sequence);
  row("tensor", mesh.tensor, sent.tensor);
  row("pipeline", mesh.pipeline, sent.pipeline);
  return table.to_string(0) + "\n";
}

std::string method_text(const Plan& plan) {
  if (plan.best.share.mesh.sequence == 1 || !plan.model.known) return "";
  Table table({"attention in a layer", "kept", "while it runs", "sent"}, {1, 2, 3});
  const recipes::AttentionShare share = attention_share(plan.model, plan.best.share);
  const double element = plan.best.share.element_bytes;
  for (const SequenceMethod method :
       {SequenceMethod::ring, SequenceMethod::rsa, SequenceMethod::heads}) {
    const recipes::SentInLayer sent = sent_by_sequence(method, share, element);
    table.row({fmt::format("  {}", name_of(method)),
               bytes_text(kept_by_attention(method, share, element)),
               bytes_text(needed_by_attention(method, share, element)),
               bytes_text(sent.forward_bytes + sent.backward_bytes)});
  }
  return table.to_string(0) + "\n";
}

std::string limits_text(const Plan& plan) {
  std::string text = "what would fit, run the same way\n";
  const auto limit = [&](const char* name, int64_t most, const std::string& unit) {
    text += fmt::format("  {}  {}\n", name,
                        most == 0 ? "none" : fmt::format("{} {}", grouped(most), unit));
  };
  if (plan.model.resizable) limit("longest sequence", plan.longest_tokens, "tokens");
  limit("largest batch   ", plan.largest_rows, fmt::format("{} a micro-batch", plan.model.item));
  return text + "\n";
}

std::string others_text(const Plan& plan) {
  if (plan.others.empty()) return "";
  Table table({fmt::format("other meshes of {}", plan.meshes), "a step", "memory", ""}, {1, 2});
  for (const PlannedRun& run : plan.others) {
    table.row({fmt::format("  {}", how_text(run)), duration_text(run.time.total()),
               bytes_text(static_cast<double>(run.memory.total)), run.fits ? "" : "does not fit"});
  }
  return table.to_string(0);
}

/// As a shell reads it.
std::string quoted(const std::string& word) {
  constexpr const char* kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,:/@%";
  if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
  std::string text = "'";
  for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string command_text(const Plan& plan) {
  if (!plan.best.fits) return "";
  std::vector<std::string> words = recipes::run_command(plan);
  for (std::string& word : words) word = quoted(word);
  return fmt::format("\nto run it:\n  {}\n", fmt::join(words, " "));
}

}  // namespace

std::string plan_text(const Plan& plan) {
  std::string text = head_text(plan) + verdict_text(plan) + "\n" + time_text(plan) +
                     memory_text(plan) + traffic_text(plan) + method_text(plan) +
                     limits_text(plan) + others_text(plan);
  while (text.ends_with("\n\n")) text.pop_back();
  return text + command_text(plan);
}

}  // namespace heed::tools
