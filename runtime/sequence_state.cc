// SPDX-License-Identifier: MIT
#include "runtime/sequence_state.h"

#include <algorithm>
#include <cstring>

namespace slm {

uint32_t* PagePool::Count(const uint8_t* page) const {
  return reinterpret_cast<uint32_t*>(const_cast<uint8_t*>(page) + page_bytes_);
}

size_t PagePool::Stride() const {
  return RoundUp(page_bytes_ + sizeof(uint32_t), kAlignment);
}

Status PagePool::AddSlab() {
  size_t pages = (kHugePage - kPadding) / Stride();
  // As much again as there is, until that is half of a huge page.
  bool huge = pages > 1 && made_ >= pages / 2;
  if (!huge) pages = std::clamp<size_t>(made_, 1, std::max<size_t>(pages, 1));
  if (budget_->cap_bytes) {
    const size_t left = (budget_->cap_bytes - budget_->allocated) / page_bytes_;
    huge = huge && left >= pages;
    pages = std::min(pages, left);
  }
  SLM_ASSIGN_OR_RETURN(
      AlignedBuffer slab,
      huge ? AlignedBuffer::AllocateHuge("KV cache")
           : AlignedBuffer::Allocate(pages * Stride(), "KV cache"));
  slabs_.push_back(std::move(slab));
  fresh_ = static_cast<uint8_t*>(slabs_.back().data());
  fresh_count_ = pages;
  return OkStatus();
}

Result<uint8_t*> PagePool::Take() {
  if (free_.empty()) {
    if (budget_->cap_bytes &&
        budget_->allocated + page_bytes_ > budget_->cap_bytes) {
      return Error(ErrorKind::kMemory,
                   "KV cache is full: %zu bytes in use, the cap is %zu",
                   budget_->allocated, budget_->cap_bytes);
    }
    if (fresh_count_ == 0) SLM_RETURN_IF_ERROR(AddSlab());
    free_.push_back(fresh_);
    fresh_ += Stride();
    --fresh_count_;
    ++made_;
    budget_->allocated += page_bytes_;
  }
  uint8_t* page = free_.back();
  free_.pop_back();
  *Count(page) = 1;
  ++used_;
  return page;
}

void PagePool::Share(uint8_t* page) { ++*Count(page); }

void PagePool::Drop(uint8_t* page) {
  if (--*Count(page) > 0) return;
  free_.push_back(page);
  --used_;
}

KvCache::KvCache(std::vector<LayerSpec> specs, std::vector<PagePool*> pools)
    : specs_(std::move(specs)), pools_(std::move(pools)) {
  for (const LayerSpec& spec : specs_) {
    layers_.emplace_back();
    layers_.back().format = spec.format;
  }
}

KvCache::~KvCache() {
  for (size_t i = 0; i < layers_.size(); ++i) {
    for (uint8_t* page : layers_[i].pages) pools_[i]->Drop(page);
  }
}

Status KvCache::Reserve(size_t length, size_t count) {
  constexpr size_t kPage = KvFormat::kPageTokens;
  if (count == 0) return OkStatus();
  for (size_t i = 0; i < layers_.size(); ++i) {
    KvLayer& layer = layers_[i];
    const size_t need = CeilDiv(length + count, kPage) - layer.first_page;
    // The page that holds `length` is written: it must be ours alone.
    const size_t first_written = length / kPage - layer.first_page;
    for (size_t p = first_written; p < layer.pages.size(); ++p) {
      if (!pools_[i]->IsShared(layer.pages[p])) continue;
      SLM_ASSIGN_OR_RETURN(uint8_t* copy, pools_[i]->Take());
      std::memcpy(copy, layer.pages[p], pools_[i]->page_bytes());
      pools_[i]->Drop(layer.pages[p]);
      layer.pages[p] = copy;
    }
    while (layer.pages.size() < need) {
      SLM_ASSIGN_OR_RETURN(uint8_t* page, pools_[i]->Take());
      layer.pages.push_back(page);
    }
  }
  return OkStatus();
}

bool KvCache::Truncate(size_t length) {
  constexpr size_t kPage = KvFormat::kPageTokens;
  // The query at position `length` sees positions > length - window.
  for (size_t i = 0; i < layers_.size(); ++i) {
    const size_t window = specs_[i].window < 0
                              ? length + 1
                              : static_cast<size_t>(specs_[i].window);
    const size_t oldest = length + 1 > window ? length + 1 - window : 0;
    if (length > 0 && layers_[i].first_page * kPage > oldest) return false;
  }
  for (size_t i = 0; i < layers_.size(); ++i) {
    KvLayer& layer = layers_[i];
    if (length == 0) {
      for (uint8_t* page : layer.pages) pools_[i]->Drop(page);
      layer.pages.clear();
      layer.first_page = 0;
      continue;
    }
    const size_t keep = CeilDiv(length, kPage) - layer.first_page;
    while (layer.pages.size() > keep) {
      pools_[i]->Drop(layer.pages.back());
      layer.pages.pop_back();
    }
  }
  return true;
}

void KvCache::Slide(size_t length) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (specs_[i].window < 0) continue;
    KvLayer& layer = layers_[i];
    const size_t window = static_cast<size_t>(specs_[i].window);
    const size_t oldest = length + 1 > window ? length + 1 - window : 0;
    const size_t first = oldest / KvFormat::kPageTokens;
    while (layer.first_page < first && !layer.pages.empty()) {
      pools_[i]->Drop(layer.pages.front());
      layer.pages.erase(layer.pages.begin());
      ++layer.first_page;
    }
  }
}

std::unique_ptr<KvCache> KvCache::Fork() const {
  auto fork = std::make_unique<KvCache>(specs_, pools_);
  fork->layers_ = layers_;
  for (size_t i = 0; i < layers_.size(); ++i) {
    for (uint8_t* page : layers_[i].pages) pools_[i]->Share(page);
  }
  return fork;
}

}  // namespace slm
