/*
 * The guest page walk; see gwalk.h. Called by the emulator for each fetch and each operand that the
 * exit did not translate, so it is short: the RAM range of the table before is tried first.
 *
 * Entries are read once each, so that a guest that changes its tables meanwhile gets the old or the
 * new translation and never a mixture. Accessed and dirty bits are set only after all checks, as
 * the manuals allow; if an entry has changed by then, the walk starts again.
 */
#include "hv/gwalk.h"
#include "hv/vcpu.h"

enum {
	PTE_P = BIT(0),
	PTE_W = BIT(1),
	PTE_U = BIT(2),
	PTE_A = BIT(5),
	PTE_D = BIT(6),
	PTE_PS = BIT(7)
};
#define PTE_NX	   BIT(63)
#define PTE_ADDR   FIELD(51, 12)
#define PTE_ADDR32 FIELD(31, 12)

enum { LEVELS_MAX = 5, ATTEMPTS = 16 };

struct walk {
	const struct addrspace *as;
	const struct gwalk_mode *m;
	const struct addr_range *range; /* that held the last table */
	unsigned access;
	bool user;
	uint32_t error;
	uint64_t all;  /* AND of the entries: W, U, A */
	uint64_t any;  /* OR of the entries: NX */
	uint64_t leaf; /* the entry that maps the page */
	unsigned used;
	struct {
		void *at;
		uint64_t value;
	} path[LEVELS_MAX];
};

static enum gwalk_result fault(struct walk *w, uint32_t cause)
{
	const struct gwalk_mode *m = w->m;
	bool fetch_shown = ((m->efer & EFER_NXE) && (m->cr4 & CR4_PAE)) || (m->cr4 & CR4_SMEP);

	w->error = cause | (w->access & GWALK_WRITE) | (w->user ? PF_USER : 0);
	if ((w->access & GWALK_FETCH) && fetch_shown) {
		w->error |= PF_FETCH;
	}
	return GWALK_FAULT;
}

/* The table entry at gpa; size divides the page, so an entry lies in one range. NULL: not RAM. */
static void *entry_at(struct walk *w, uint64_t at)
{
	const struct addr_range *r = w->range;

	if (!r || at - r->base.v >= r->size) {
		r = addrspace_find(w->as, gpa(at));
		if (!r || !r->ptr) {
			return NULL;
		}
		w->range = r;
	}
	return r->ptr + (at - r->base.v);
}

static void note(struct walk *w, void *at, uint64_t value)
{
	w->path[w->used].at = at;
	w->path[w->used++].value = value;
	w->all &= value;
	w->any |= value;
}

/*
 * The four upper entries of PAE paging. Intel CPUs keep them in registers that MOV to CR3 loads;
 * AMD CPUs read them at each walk, as we do. They carry no rights and no accessed bit.
 */
static enum gwalk_result walk_pdpte(struct walk *w, uint64_t va, uint64_t *table)
{
	const uint64_t *at = entry_at(w, (w->m->cr3 & FIELD(31, 5)) + ((va >> 30) & 3) * 8);
	uint64_t entry;

	if (!at) {
		return GWALK_NOT_RAM;
	}
	entry = __atomic_load_n(at, __ATOMIC_RELAXED);
	if (!(entry & PTE_P)) {
		return fault(w, 0);
	}
	if (entry & (FIELD(2, 1) | FIELD(8, 5) | (~0ull << w->m->maxphyaddr))) {
		return fault(w, PF_PRESENT | PF_RESERVED);
	}
	*table = entry & PTE_ADDR;
	return GWALK_OK;
}

/* Tables of 512 entries of 8 bytes: PAE from its second level on, 4-level and 5-level paging. */
static enum gwalk_result walk_wide(struct walk *w, uint64_t va, gpa_t *out)
{
	const struct gwalk_mode *m = w->m;
	uint64_t table = m->cr3 & PTE_ADDR, reserved = PTE_ADDR & (~0ull << m->maxphyaddr);
	unsigned shift = m->cr4 & CR4_LA57 ? 48 : 39;

	if (!(m->efer & EFER_LMA)) {
		enum gwalk_result r = walk_pdpte(w, va, &table);

		if (r != GWALK_OK) {
			return r;
		}
		reserved |= FIELD(62, 52);
		shift = 21;
	}
	if (!(m->efer & EFER_NXE)) {
		reserved |= PTE_NX;
	}
	for (;; shift -= 9) {
		uint64_t *at = entry_at(w, table + ((va >> shift) & 511) * 8);
		uint64_t entry, wrong;

		if (!at) {
			return GWALK_NOT_RAM;
		}
		entry = __atomic_load_n(at, __ATOMIC_RELAXED);
		if (!(entry & PTE_P)) {
			return fault(w, 0);
		}
		wrong = entry & reserved;
		if (shift == 12 || (entry & PTE_PS)) {
			uint64_t within = BIT(shift) - 1;

			if (shift > 30) {
				wrong |= PTE_PS;
			} else if (shift > 12) {
				wrong |= entry & within & FIELD(51, 13);
			}
			if (wrong) {
				return fault(w, PF_PRESENT | PF_RESERVED);
			}
			note(w, at, entry);
			w->leaf = entry;
			*out = gpa((entry & PTE_ADDR & ~within) | (va & within));
			return GWALK_OK;
		}
		if (wrong) {
			return fault(w, PF_PRESENT | PF_RESERVED);
		}
		note(w, at, entry);
		table = entry & PTE_ADDR;
	}
}

/* Bits 39:32 of a 4 MiB page are in bits 20:13 of its entry; bit 21 and what MAXPHYADDR leaves. */
static bool large32_reserved(const struct gwalk_mode *m, uint64_t entry)
{
	uint64_t high = field_get(FIELD(20, 13), entry);

	return (entry & BIT(21)) || (m->maxphyaddr < 40 && high >> (m->maxphyaddr - 32));
}

/* Two levels of 1024 entries of 4 bytes. */
static enum gwalk_result walk_32(struct walk *w, uint64_t va, gpa_t *out)
{
	uint64_t table = w->m->cr3 & PTE_ADDR32;

	for (unsigned shift = 22;; shift = 12) {
		uint32_t *at = entry_at(w, table + ((va >> shift) & 1023) * 4);
		uint64_t entry;

		if (!at) {
			return GWALK_NOT_RAM;
		}
		entry = __atomic_load_n(at, __ATOMIC_RELAXED);
		if (!(entry & PTE_P)) {
			return fault(w, 0);
		}
		if (shift == 22 && (entry & PTE_PS) && (w->m->cr4 & CR4_PSE)) {
			if (large32_reserved(w->m, entry)) {
				return fault(w, PF_PRESENT | PF_RESERVED);
			}
			*out = gpa(field_get(FIELD(20, 13), entry) << 32 | (entry & FIELD(31, 22)) |
				   (va & FIELD(21, 0)));
			note(w, at, entry);
			w->leaf = entry;
			return GWALK_OK;
		}
		note(w, at, entry);
		if (shift == 12) {
			*out = gpa((entry & PTE_ADDR32) | (va & PAGE_MASK));
			w->leaf = entry;
			return GWALK_OK;
		}
		table = entry & PTE_ADDR32;
	}
}

/* Whether the protection key of the page forbids this access; fetches are not subject to it. */
static bool key_forbids(const struct walk *w)
{
	unsigned bits;

	if (!(w->m->cr4 & CR4_PKE) || !(w->m->efer & EFER_LMA) || !(w->all & PTE_U) ||
	    (w->access & GWALK_FETCH)) {
		return false;
	}
	bits = w->m->pkru >> (2 * field_get(FIELD(62, 59), w->leaf)) & 3;
	return (bits & 1) ||
	       ((bits & 2) && (w->access & GWALK_WRITE) && (w->user || (w->m->cr0 & CR0_WP)));
}

/* Intel SDM vol. 3, "Determination of Access Rights". */
static bool rights_forbid(const struct walk *w)
{
	const struct gwalk_mode *m = w->m;
	bool user_page = w->all & PTE_U;

	if (w->access & GWALK_FETCH) {
		if ((w->any & PTE_NX) && (m->efer & EFER_NXE) && (m->cr4 & CR4_PAE)) {
			return true;
		}
		return w->user ? !user_page : user_page && (m->cr4 & CR4_SMEP);
	}
	if (w->user && !user_page) {
		return true;
	}
	if (!w->user && user_page && (m->cr4 & CR4_SMAP) &&
	    (!(m->rflags & RFLAGS_AC) || (w->access & GWALK_IMPLICIT))) {
		return true;
	}
	return (w->access & GWALK_WRITE) && !(w->all & PTE_W) && (w->user || (m->cr0 & CR0_WP));
}

static enum gwalk_result check_rights(struct walk *w)
{
	bool key = key_forbids(w);

	if (rights_forbid(w) || key) {
		return fault(w, PF_PRESENT | (key ? PF_KEY : 0));
	}
	return GWALK_OK;
}

/* Whether the guest could write the entry: a page table in ROM has no accessed bits to set. */
static bool entry_writable(const struct walk *w, const void *at)
{
	for (unsigned i = 0; i < w->as->count; i++) {
		const struct addr_range *r = &w->as->range[i];

		if (r->ptr && (uintptr_t)at - (uintptr_t)r->ptr < r->size) {
			return r->writable;
		}
	}
	return false;
}

static bool entry_set(void *at, uint64_t old, uint64_t bits, bool wide)
{
	if (wide) {
		return __atomic_compare_exchange_n((uint64_t *)at, &old, old | bits, false,
						   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	uint32_t old32 = (uint32_t)old;

	return __atomic_compare_exchange_n((uint32_t *)at, &old32, old32 | (uint32_t)bits, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static enum gwalk_result mark_used(struct walk *w)
{
	uint64_t dirty = w->access & GWALK_WRITE ? PTE_D : 0;

	if ((w->all & PTE_A) && !(dirty & ~w->leaf)) {
		return GWALK_OK;
	}
	for (unsigned i = 0; i < w->used; i++) {
		uint64_t bits = PTE_A | (i == w->used - 1 ? dirty : 0), old = w->path[i].value;

		if (!(bits & ~old)) {
			continue;
		}
		if (!entry_writable(w, w->path[i].at)) {
			return GWALK_NOT_RAM;
		}
		if (!entry_set(w->path[i].at, old, bits, w->m->cr4 & CR4_PAE)) {
			return GWALK_RETRY;
		}
	}
	return GWALK_OK;
}

static enum gwalk_result walk_once(struct walk *w, uint64_t va, gpa_t *out)
{
	enum gwalk_result r;

	w->all = ~0ull;
	w->any = 0;
	w->used = 0;
	r = w->m->cr4 & CR4_PAE ? walk_wide(w, va, out) : walk_32(w, va, out);
	if (r == GWALK_OK) {
		r = check_rights(w);
	}
	return r == GWALK_OK ? mark_used(w) : r;
}

enum gwalk_result gwalk(const struct addrspace *as, const struct gwalk_mode *m, gva_t va,
			enum gwalk_access access, gpa_t *out, uint32_t *error)
{
	struct walk w;
	enum gwalk_result r = GWALK_RETRY;

	if (!(m->cr0 & CR0_PG)) {
		*out = gpa((uint32_t)va.v);
		return GWALK_OK;
	}
	w.as = as;
	w.m = m;
	w.range = NULL;
	w.access = access;
	w.user = m->cpl == 3 && !(access & GWALK_IMPLICIT);
	for (unsigned i = 0; i < ATTEMPTS && r == GWALK_RETRY; i++) {
		r = walk_once(&w, va.v, out);
	}
	if (r == GWALK_FAULT) {
		*error = w.error;
	}
	return r;
}
