/** How the nodes of a level are cut into tasks for a batch of a size. Nothing that is computed depends on it. */
#include <algorithm>
#include <cmath>

#include "training.h"

namespace rwkv::training {
namespace {

/** No task is planned shorter than this many nanoseconds. */
constexpr double kShortestTask = 3000;
/** So many tasks for each thread that one which lost its processor for a moment finds help. */
constexpr double kTasksPerThread = 6;
constexpr size_t kPlans = 8;
/** Of products on one thread, for shares of work only. */
constexpr double kOperationsPerNanosecond = 100;
/** Tiles of rows of a task: fewer, and packing columns anew for each task shows. */
constexpr size_t kFewestRowTiles = 6;
constexpr size_t kMostRowTiles = 22;
constexpr size_t kFewestColumnTiles = 2;

size_t parts_of(size_t count, size_t each) { return (count + each - 1) / each; }

struct ProductShape {
  size_t rows, columns, depth;
};

ProductShape shape_of(const Node& node, const Step& step) {
  const size_t rows = node.wanted ? step.wanted : step.tokens;
  const double* numbers = node.instructions[0].numbers;
  const size_t inputs = static_cast<size_t>(numbers[2]), outputs = static_cast<size_t>(numbers[3]);
  switch (static_cast<int>(numbers[0])) {
    case 0: return {rows, outputs, inputs};
    case 1: return {rows, inputs, outputs};
    default: return {outputs, inputs, rows};
  }
}

}  // namespace

size_t Training::units_of(const Node& node, const Step& step) const {
  const size_t rows = node.wanted ? step.wanted : step.tokens;
  const Instruction& own = node.instructions[0];
  const size_t first = static_cast<size_t>(own.numbers[0]);
  switch (node.units) {
    case Units::row_blocks: return parts_of(rows, node.block_rows);
    case Units::product: return rows == 0 ? 0 : 1;
    case Units::sequence_parts: {
      const bool channels = own.code == Code::wkv4 || own.code == Code::wkv4_backward;
      return step.sequences * (channels ? parts_of(first, kWkv4Block) : first);
    }
    case Units::sequences: return step.sequences;
    case Units::rows: return rows;
    case Units::column_blocks: return rows == 0 ? 0 : parts_of(first, kEmbedColumns);
    case Units::one: return 1;
  }
  return 0;
}

double Training::cost_of(const Node& node, const Step& step) const {
  if (node.units == Units::product) {
    const ProductShape shape = shape_of(node, step);
    return 2.0 * static_cast<double>(shape.rows) * static_cast<double>(shape.columns) *
           static_cast<double>(shape.depth) / kOperationsPerNanosecond;
  }
  return node.nanoseconds * (node.wanted ? step.wanted : step.tokens);
}

const Training::Plan& Training::plan_for(const Step& step, unsigned threads) {
  for (Plan& plan : plans_) {
    if (plan.tokens != step.tokens || plan.sequences != step.sequences || plan.wanted != step.wanted) continue;
    plan.used = runs_ + 1;
    return plan;
  }
  if (plans_.size() >= kPlans) {
    plans_.erase(std::min_element(plans_.begin(), plans_.end(),
                                  [](const Plan& a, const Plan& b) { return a.used < b.used; }));
  }
  Plan plan;
  make_plan(plan, step, threads);
  plan.used = runs_ + 1;
  plans_.push_back(std::move(plan));
  return plans_.back();
}

void Training::make_plan(Plan& plan, const Step& step, unsigned threads) const {
  plan.tokens = step.tokens;
  plan.sequences = step.sequences;
  plan.wanted = step.wanted;
  size_t index = 0;
  while (index < nodes_.size()) {
    const uint32_t level = nodes_[index].level;
    const Part part = nodes_[index].part;
    std::vector<uint32_t> nodes;
    for (; index < nodes_.size() && nodes_[index].level == level && nodes_[index].part == part; index++) {
      if (units_of(nodes_[index], step) > 0) nodes.push_back(static_cast<uint32_t>(index));
    }
    if (nodes.empty()) continue;
    Stretch stretch;
    cut(stretch, nodes, step, threads);
    plan.stretches.push_back(std::move(stretch));
    if (part != Part::backward) plan.forward_stretches = plan.stretches.size();
  }
}

void Training::cut(Stretch& stretch, const std::vector<uint32_t>& nodes, const Step& step, unsigned threads) const {
  double total = 0;
  for (const uint32_t node : nodes) total += cost_of(nodes_[node], step);
  const double grain = std::max(kShortestTask, total / (threads * kTasksPerThread));
  std::vector<double> costs;
  const auto add = [&](const Task& task, double cost) {
    stretch.tasks.push_back(task);
    costs.push_back(cost);
  };
  for (const uint32_t index : nodes) {
    const Node& node = nodes_[index];
    const double cost = cost_of(node, step);
    const size_t wanted = std::max<size_t>(1, static_cast<size_t>(cost / grain));
    if (node.units != Units::product) {
      const size_t units = units_of(node, step);
      const size_t tasks = std::min({units, wanted, size_t{kMostTasks} / (4 * nodes.size())});
      for (size_t task = 0; task < tasks; task++) {
        add({index, part(units, task, tasks), {0, 1}}, cost / static_cast<double>(tasks));
      }
      continue;
    }
    const ProductShape shape = shape_of(node, step);
    const size_t rows = parts_of(shape.rows, training_.tile_rows);
    const size_t columns = parts_of(shape.columns, training_.tile_columns);
    size_t row_parts = parts_of(rows, kMostRowTiles);
    const size_t column_parts = std::min(parts_of(columns, kFewestColumnTiles), parts_of(wanted, row_parts));
    row_parts = std::max(row_parts, std::min(parts_of(rows, kFewestRowTiles), parts_of(wanted, column_parts)));
    const double each = cost / static_cast<double>(row_parts * column_parts);
    for (size_t row = 0; row < row_parts; row++) {
      for (size_t column = 0; column < column_parts; column++) {
        add({index, part(rows, row, row_parts), part(columns, column, column_parts)}, each);
      }
    }
  }
  // Span t ends where the costs before it reach t / threads of the whole.
  stretch.spans.assign(threads + 1, static_cast<uint32_t>(stretch.tasks.size()));
  stretch.spans[0] = 0;
  double sum = 0;
  unsigned thread = 1;
  for (size_t task = 0; task < stretch.tasks.size() && thread < threads; task++) {
    sum += costs[task];
    while (thread < threads && sum >= total * thread / threads * (1 - 1e-9)) {
      stretch.spans[thread++] = static_cast<uint32_t>(task + 1);
    }
  }
}

}  // namespace rwkv::training
