// Checkpoints of the papers' own code, where that defines a state_dict: families of presets, each a
// table of names and layouts.
//
//   nat_mini.pth   levels.1.blocks.0.attn.rpb [4, 13, 13]   ->   stages.1.0.attn.table [4, 169]
#pragma once

#include <string>
#include <vector>

#include "core/config.h"
#include "core/shape.h"
#include "recipes/engine/hf/family.h"

namespace heed::recipes::official {

/// Tensors by name; "{}" of ours stands for a number, "{0}" (and "{0+1}", "{0-1}") of theirs for
/// the first of them. A row holds for the name, and with a last part (".weight") behind it on both
/// sides; the first that holds counts.
struct Row {
  std::string ours, theirs;
  hf::Layout layout = hf::Layout::same;
};

struct Family {
  std::string name;    ///< "nat"
  std::string model;   ///< heed's: "pyramid", "vit"
  std::string source;  ///< the code that defines the names
  std::vector<Row> rows;
  /// Endings of tensors that say nothing new.
  std::vector<std::string> derived = {};
};

/// All families, by name.
const std::vector<Family>& families();
/// The family of that name; a RequestError that lists them otherwise.
const Family& find_family(const std::string& name);

/// The sizes of a family: the names of presets behind its own.
std::vector<std::string> sizes_of(const Family& family);
/// The `model` section of a size, `type` and preset; a RequestError that lists the sizes otherwise.
/// "-sine" behind a size of Compact Transformers' means their fixed positions.
Config model_of(const Family& family, const std::string& size);

/// Where a file has the tensor `ours` of `shape`; an empty name where the table has no row.
struct Place {
  std::string name;
  hf::Layout layout = hf::Layout::same;
};
Place place_of(const Family& family, const std::string& ours, const Shape& shape);

// The tables, a file each.
std::vector<Family> nat_families();
std::vector<Family> van_families();
std::vector<Family> compact_families();

}  // namespace heed::recipes::official
