/*
 * Second-level page tables: see npt.h. They belong to the partition, or to the IOMMU's domain for
 * it. npt_map and npt_unmap are called under the partition's device lock, npt_split without it.
 */
#include "hv/npt.h"
#include "hv/host.h"

enum { ENTRIES = 512, SMALL = 1 /* level of a 4 KiB leaf */ };
#define ENTRY_ADDRESS FIELD(51, 12)

/* Bytes that one entry of a table of `level` (4: root) covers. */
static uint64_t entry_span(unsigned level)
{
	return BIT(PAGE_SHIFT + 9 * (level - 1));
}

/* What all levels can map. */
static uint64_t gpa_limit(const struct npt_format *f)
{
	return entry_span(f->levels + 1);
}

static unsigned entry_index(unsigned level, uint64_t at)
{
	return at / entry_span(level) % ENTRIES;
}

/* A table of `level`, and the page of twins behind it. */
static unsigned pages_of(const struct npt_format *f, unsigned level)
{
	return f->small_code && level > SMALL ? 2 : 1;
}

static bool new_table(struct npt *n, unsigned level, hpa_t *out, struct refusal *r)
{
	unsigned pages = pages_of(n->format, level);

	if (n->reserve) {
		if (n->spares == 0) {
			return refuse(r, "all tables are in use");
		}
		*out = n->spare[--n->spares];
		return true;
	}
	if (!host_alloc((uint64_t)pages * PAGE_SIZE, PAGE_SIZE, out)) {
		return refuse(r, "no memory for %s tables (%u pages taken)", n->format->name,
			      n->tables);
	}
	n->tables += pages;
	return true;
}

static uint64_t table_entry(const struct npt_format *f, hpa_t table, unsigned level)
{
	return table.v | f->table | field_put(f->next_level, level);
}

/* The bits of a leaf that do not depend on its address and size. */
static uint64_t leaf_bits(const struct npt_format *f, const struct addr_range *range)
{
	uint64_t bits = f->leaf;

	if (range->writable) {
		bits |= f->write;
	}
	if (range->uncached) {
		return ((bits | f->uncached) & ~f->execute) | f->no_execute;
	}
	return bits | f->write_back;
}

/* The level of the largest leaf for `left` bytes at `at`, which is mapped to hpa `to`. */
static unsigned leaf_level(const struct npt_format *f, uint64_t at, uint64_t to, uint64_t left)
{
	unsigned level = f->small_leaves ? SMALL : f->gib_leaves ? 3 : 2;

	while (level > SMALL && (left < entry_span(level) || (at | to) % entry_span(level) != 0)) {
		level--;
	}
	return level;
}

/* CPUs may walk the tables meanwhile. */
static void set_entry(uint64_t *e, uint64_t v)
{
	__atomic_store_n(e, v, __ATOMIC_RELEASE);
}

static bool set_leaf(struct npt *n, uint64_t *e, unsigned level, uint64_t entry, struct refusal *r);

/* The twin of a leaf one level above `level`, whose bits `entry` has. */
static bool make_twin(struct npt *n, uint64_t *twin, unsigned level, uint64_t entry,
		      struct refusal *r)
{
	hpa_t at;
	uint64_t *table;

	if (!new_table(n, level, &at, r)) {
		return false;
	}
	table = host_ptr(at);
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (!set_leaf(n, &table[i], level, entry + i * entry_span(level), r)) {
			return false;
		}
	}
	set_entry(twin, table_entry(n->format, at, level));
	return true;
}

static bool set_leaf(struct npt *n, uint64_t *e, unsigned level, uint64_t entry, struct refusal *r)
{
	const struct npt_format *f = n->format;

	if (level > SMALL && f->small_code && entry & f->execute) {
		if (!make_twin(n, e + ENTRIES, level - 1, entry, r)) {
			return false;
		}
		entry &= ~f->execute;
	}
	set_entry(e, entry | (level > SMALL ? f->large : 0));
	return true;
}

static bool map_leaf(struct npt *n, uint64_t at, unsigned leaf, uint64_t entry, struct refusal *r)
{
	uint64_t *table = host_ptr(n->root);

	for (unsigned level = n->format->levels; level > leaf; level--) {
		uint64_t *e = &table[entry_index(level, at)];
		hpa_t next = hpa(*e & ENTRY_ADDRESS);

		if (*e == 0) {
			if (!new_table(n, level - 1, &next, r)) {
				return false;
			}
			set_entry(e, table_entry(n->format, next, level - 1));
		}
		table = host_ptr(next);
	}
	return set_leaf(n, &table[entry_index(leaf, at)], leaf, entry, r);
}

bool npt_add(struct npt *n, const struct addr_range *range, struct refusal *r)
{
	uint64_t limit = gpa_limit(n->format);
	uint64_t at = range->base.v, to = range->hpa.v, left = range->size;
	uint64_t bits = leaf_bits(n->format, range);

	if ((at | to | left) & PAGE_MASK || at >= limit || left > limit - at) {
		return refuse(r, "guest-physical range 0x%lx size 0x%lx cannot be mapped",
			      (unsigned long)at, (unsigned long)left);
	}
	while (left) {
		unsigned level = leaf_level(n->format, at, to, left);

		if (!map_leaf(n, at, level, to | bits, r)) {
			return false;
		}
		at += entry_span(level);
		to += entry_span(level);
		left -= entry_span(level);
	}
	return true;
}

bool npt_build(struct npt *n, const struct npt_format *f, const struct addrspace *as,
	       struct refusal *r)
{
	*n = (struct npt){.format = f};
	if (!new_table(n, f->levels, &n->root, r)) {
		return false;
	}
	for (unsigned i = 0; i < as->count; i++) {
		if (!npt_add(n, &as->range[i], r)) {
			return false;
		}
	}
	return true;
}

static bool is_leaf(const struct npt_format *f, unsigned level, uint64_t entry)
{
	return level == SMALL || (f->next_level ? !(entry & f->next_level) : entry & f->large);
}

/* --- while the guest runs --- */

bool npt_reserve(struct npt *n, unsigned tables, struct refusal *r)
{
	uint64_t size = (uint64_t)pages_of(n->format, n->format->levels) * PAGE_SIZE;
	hpa_t lists, at;

	_Static_assert(NPT_RESERVE * sizeof(hpa_t) == PAGE_SIZE, "a list is a page");
	tables = tables < NPT_RESERVE ? tables : NPT_RESERVE;
	if (!host_alloc(2 * PAGE_SIZE, PAGE_SIZE, &lists) ||
	    !host_alloc(tables * size, PAGE_SIZE, &at)) {
		return refuse(r, "no memory for %s tables (%u pages)", n->format->name, tables);
	}
	n->spare = host_ptr(lists);
	n->retired = n->spare + NPT_RESERVE;
	for (unsigned i = 0; i < tables; i++) {
		n->spare[i] = hpa(at.v + i * size);
	}
	n->spares = n->reserve = tables;
	return true;
}

static bool is_empty(const uint64_t *table)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		if (table[i]) {
			return false;
		}
	}
	return true;
}

/* Clears the leaves of [at, end) below a table of `level`; tables that become empty are retired. */
static void unmap_level(struct npt *n, uint64_t *table, unsigned level, uint64_t at, uint64_t end)
{
	while (at < end) {
		uint64_t next = ALIGN_DOWN(at, entry_span(level)) + entry_span(level);
		uint64_t *e = &table[entry_index(level, at)];
		uint64_t part = next < end ? next : end;

		if (*e && is_leaf(n->format, level, *e)) {
			set_entry(e, 0);
		} else if (*e) {
			hpa_t below = hpa(*e & ENTRY_ADDRESS);

			unmap_level(n, host_ptr(below), level - 1, at, part);
			if (is_empty(host_ptr(below))) {
				set_entry(e, 0);
				n->retired[n->retired_next++ % NPT_RESERVE] = below;
			}
		}
		at = part;
	}
}

void npt_unmap(struct npt *n, gpa_t base, uint64_t size)
{
	unmap_level(n, host_ptr(n->root), n->format->levels, base.v, base.v + size);
}

bool npt_map(struct npt *n, const struct addr_range *range)
{
	struct refusal r = {""};

	if (npt_add(n, range, &r)) {
		return true;
	}
	if (range->base.v < gpa_limit(n->format) &&
	    range->size <= gpa_limit(n->format) - range->base.v) {
		npt_unmap(n, range->base, range->size); /* what it had come to */
	}
	return false;
}

void npt_flushed(struct npt *n, unsigned until)
{
	while (n->retired_first != n->retired_next && (int)(until - n->retired_first) > 0) {
		n->spare[n->spares++] = n->retired[n->retired_first++ % NPT_RESERVE];
	}
}

/* --- code in large leaves --- */

bool npt_split(struct npt *n, gpa_t gpa)
{
	const struct npt_format *f = n->format;
	uint64_t *table = host_ptr(n->root);

	if (!f->small_code || gpa.v >= gpa_limit(f)) {
		return false;
	}
	for (unsigned level = f->levels;; level--) {
		uint64_t *e = &table[entry_index(level, gpa.v)];
		uint64_t entry = __atomic_load_n(e, __ATOMIC_ACQUIRE);

		if (level == SMALL) {
			return entry & f->execute;
		}
		if (entry && is_leaf(f, level, entry)) {
			entry = e[ENTRIES];
			if (entry) {
				set_entry(e, entry);
			}
		}
		if (!entry) {
			return false; /* nothing is there, or device memory is */
		}
		table = host_ptr(hpa(entry & ENTRY_ADDRESS));
	}
}

/* A leaf is what the first leaf below its twin is, but for size and permission. */
static void join_below(const struct npt_format *f, uint64_t *table, unsigned level)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		uint64_t twin = table[ENTRIES + i], entry = twin ? twin : table[i];
		uint64_t *next;

		if (!entry || is_leaf(f, level, entry)) {
			continue;
		}
		next = host_ptr(hpa(entry & ENTRY_ADDRESS));
		if (level - 1 > SMALL) {
			join_below(f, next, level - 1);
		}
		if (twin) {
			set_entry(&table[i], (next[0] & ~f->execute) | f->large);
		}
	}
}

void npt_join(struct npt *n)
{
	if (n->format->small_code) {
		join_below(n->format, host_ptr(n->root), n->format->levels);
	}
}

uint64_t npt_lookup(const struct npt *n, gpa_t gpa, uint64_t *leaf_size)
{
	const uint64_t *table = host_ptr(n->root);

	*leaf_size = 0;
	if (gpa.v >= gpa_limit(n->format)) {
		return 0;
	}
	for (unsigned level = n->format->levels;; level--) {
		uint64_t e = table[entry_index(level, gpa.v)];

		if (e == 0) {
			return 0;
		}
		if (is_leaf(n->format, level, e)) {
			*leaf_size = entry_span(level);
			return e;
		}
		table = host_ptr(hpa(e & ENTRY_ADDRESS));
	}
}
