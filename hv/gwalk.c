/*
 * The guest page walk; see gwalk.h. Called by the emulator for each fetch and for each operand that
 * the exit did not translate, so it is short.
 *
 * A first pass only reads. If accessed or dirty bits are missing, a second pass sets them on its
 * way with compare-and-swap, with the same checks again. Each pass reads an entry once, so that a
 * guest that changes its tables meanwhile gets the old or the new translation and never a mixture.
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

enum { ATTEMPTS = 16 };

struct walk {
	const struct addrspace *as;
	const struct gwalk_mode *m;
	struct gwalk_page *out;
	const struct addr_range *range; /* that held the last table */
	unsigned access;
	bool user;
	uint64_t all; /* AND of the entries: W, U, A; D of the leaf */
	uint64_t any; /* OR of the entries: NX */
};

static enum gwalk_result fault(struct walk *w, uint32_t cause)
{
	const struct gwalk_mode *m = w->m;
	bool fetch_shown = ((m->efer & EFER_NXE) && (m->cr4 & CR4_PAE)) || (m->cr4 & CR4_SMEP);

	w->out->error = cause | (w->access & GWALK_WRITE) | (w->user ? PF_USER : 0);
	if ((w->access & GWALK_FETCH) && fetch_shown) {
		w->out->error |= PF_FETCH;
	}
	return GWALK_FAULT;
}

static const struct addr_range *ram_range(struct walk *w, uint64_t at)
{
	const struct addr_range *r = addrspace_find(w->as, gpa(at));

	w->range = r && r->ptr ? r : NULL;
	return w->range;
}

/* The table entry at a gpa; its size divides the page, so it lies in one range. NULL: not RAM. */
static inline void *entry_at(struct walk *w, uint64_t at)
{
	const struct addr_range *r = w->range;

	if (__builtin_expect(at - r->base.v >= r->size, 0)) {
		r = ram_range(w, at);
		if (!r) {
			return NULL;
		}
	}
	return r->ptr + (at - r->base.v);
}

/* Whether the protection key of the page forbids this access; fetches are not subject to it. */
static bool key_forbids(const struct walk *w, uint64_t leaf)
{
	unsigned bits;

	if (!(w->m->efer & EFER_LMA) || !(w->all & PTE_U) || (w->access & GWALK_FETCH)) {
		return false;
	}
	bits = w->m->pkru >> (2 * field_get(FIELD(62, 59), leaf)) & 3;
	return (bits & 1) ||
	       ((bits & 2) && (w->access & GWALK_WRITE) && (w->user || (w->m->cr0 & CR0_WP)));
}

/* Intel SDM vol. 3, "Determination of Access Rights". */
static bool rights_forbid(const struct walk *w)
{
	const struct gwalk_mode *m = w->m;
	bool user_page = w->all & PTE_U;

	if (w->access & GWALK_FETCH) {
		if ((w->any & PTE_NX) && (m->efer & EFER_NXE)) {
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

static inline enum gwalk_result check_rights(struct walk *w, uint64_t leaf)
{
	bool key = (w->m->cr4 & CR4_PKE) && key_forbids(w, leaf);

	if (__builtin_expect(key || rights_forbid(w), 0)) {
		return fault(w, PF_PRESENT | (key ? PF_KEY : 0));
	}
	return GWALK_OK;
}

/* Sets accessed and dirty bits in an entry. A table in ROM has none to set. */
static enum gwalk_result mark(struct walk *w, void *at, uint64_t old, uint64_t bits, bool wide)
{
	uint32_t old32 = (uint32_t)old;
	bool done;

	if (!(bits & ~old)) {
		return GWALK_OK;
	}
	if (!w->range->writable) {
		return GWALK_NOT_RAM;
	}
	if (wide) {
		done = __atomic_compare_exchange_n((uint64_t *)at, &old, old | bits, false,
						   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	} else {
		done = __atomic_compare_exchange_n((uint32_t *)at, &old32, old32 | (uint32_t)bits,
						   false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	}
	return done ? GWALK_OK : GWALK_RETRY;
}

static inline uint64_t marks_of_leaf(const struct walk *w)
{
	return w->access & GWALK_WRITE ? PTE_A | PTE_D : PTE_A;
}

/* The entry that maps the page: the last checks, and the address. */
static inline __attribute__((always_inline)) enum gwalk_result take_leaf(struct walk *w, void *at,
									 uint64_t entry, bool set,
									 bool wide)
{
	enum gwalk_result r;

	w->all &= entry | PTE_D;
	w->any |= entry;
	r = check_rights(w, entry);
	if (r == GWALK_OK && set) {
		return mark(w, at, entry, marks_of_leaf(w), wide);
	}
	w->all &= entry | ~(uint64_t)PTE_D;
	return r;
}

/*
 * The four upper entries of PAE paging. Intel CPUs keep them in registers that MOV to CR3 loads;
 * AMD CPUs read them at each walk, as we do. They carry no rights and no accessed bit; QEMU sets
 * bit 5 in them all the same, so it is let pass (docs/quirks.md).
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
	if (entry & (FIELD(2, 1) | FIELD(8, 6) | (~0ull << w->m->maxphyaddr))) {
		return fault(w, PF_PRESENT | PF_RESERVED);
	}
	*table = entry & PTE_ADDR;
	return GWALK_OK;
}

/* Bits that must be zero in an entry at this shift, beyond those of every entry. */
static uint64_t reserved_in_large(unsigned shift)
{
	return shift > 30 ? PTE_PS : FIELD(51, 13) & (BIT(shift) - 1);
}

/*
 * Tables of 512 entries of 8 bytes: PAE from its second level on, 4-level and 5-level paging. What
 * the loop needs is in locals, and inlined for both values of `set`: this is the emulator's hot
 * path.
 */
static inline __attribute__((always_inline)) enum gwalk_result walk_wide(struct walk *w,
									 uint64_t va, bool set,
									 struct gwalk_memo *memo)
{
	const struct gwalk_mode *m = w->m;
	uint64_t table = m->cr3 & PTE_ADDR, reserved = PTE_ADDR & (~0ull << m->maxphyaddr);
	uint64_t all = ~0ull, any = 0, entry, within, *at;
	const struct addr_range *range;
	unsigned shift = m->cr4 & CR4_LA57 ? 48 : 39;

	if (memo) {
		memo->count = 0;
	}
	if (__builtin_expect(!(m->efer & EFER_LMA), 0)) {
		enum gwalk_result result = walk_pdpte(w, va, &table);

		if (result != GWALK_OK) {
			return result;
		}
		reserved |= FIELD(62, 52);
		shift = 21;
	}
	if (!(m->efer & EFER_NXE)) {
		reserved |= PTE_NX;
	}
	range = w->range;
	for (;; shift -= 9) {
		uint64_t where = table + ((va >> shift) & 511) * 8;

		if (__builtin_expect(where - range->base.v >= range->size, 0)) {
			range = ram_range(w, where);
			if (!range) {
				return GWALK_NOT_RAM;
			}
		}
		at = (uint64_t *)(range->ptr + (where - range->base.v));
		entry = __atomic_load_n(at, __ATOMIC_RELAXED);
		if (memo) {
			memo->entry[memo->count].at = at;
			memo->entry[memo->count++].value = entry;
		}
		if (shift == 12 || (entry & (reserved | PTE_P | PTE_PS)) != PTE_P) {
			break; /* maps a page, or nothing */
		}
		if (set) {
			enum gwalk_result result = mark(w, at, entry, PTE_A, true);

			if (result != GWALK_OK) {
				return result;
			}
		}
		all &= entry;
		any |= entry;
		table = entry & PTE_ADDR;
	}
	if (shift > 12) {
		reserved |= reserved_in_large(shift);
	}
	if (__builtin_expect((entry & (reserved | PTE_P)) != PTE_P, 0)) {
		return fault(w, entry & PTE_P ? PF_PRESENT | PF_RESERVED : 0);
	}
	within = BIT(shift) - 1;
	w->out->gpa = gpa((entry & PTE_ADDR & ~within) | (va & within));
	w->all = all | PTE_D; /* which only a leaf has */
	w->any = any;
	return take_leaf(w, at, entry, set, true);
}

/* Bits 39:32 of a 4 MiB page are in bits 20:13 of its entry; bit 21 and what MAXPHYADDR leaves. */
static bool large32_reserved(const struct walk *w, uint64_t entry)
{
	uint64_t high = field_get(FIELD(20, 13), entry);

	return (entry & BIT(21)) || (w->m->maxphyaddr < 40 && high >> (w->m->maxphyaddr - 32));
}

/* Two levels of 1024 entries of 4 bytes. */
static enum gwalk_result walk_32(struct walk *w, uint64_t va, bool set)
{
	uint32_t *at = entry_at(w, (w->m->cr3 & PTE_ADDR32) + (va >> 22 & 1023) * 4);
	enum gwalk_result result = GWALK_OK;
	uint64_t entry;

	if (!at) {
		return GWALK_NOT_RAM;
	}
	entry = __atomic_load_n(at, __ATOMIC_RELAXED);
	if (!(entry & PTE_P)) {
		return fault(w, 0);
	}
	if ((entry & PTE_PS) && (w->m->cr4 & CR4_PSE)) {
		if (large32_reserved(w, entry)) {
			return fault(w, PF_PRESENT | PF_RESERVED);
		}
		w->out->gpa = gpa(field_get(FIELD(20, 13), entry) << 32 | (entry & FIELD(31, 22)) |
				  (va & FIELD(21, 0)));
		return take_leaf(w, at, entry, set, false);
	}
	w->all &= entry | PTE_D;
	if (set) {
		result = mark(w, at, entry, PTE_A, false);
	}
	if (result != GWALK_OK) {
		return result;
	}
	at = entry_at(w, (entry & PTE_ADDR32) + (va >> 12 & 1023) * 4);
	if (!at) {
		return GWALK_NOT_RAM;
	}
	entry = __atomic_load_n(at, __ATOMIC_RELAXED);
	if (!(entry & PTE_P)) {
		return fault(w, 0);
	}
	w->out->gpa = gpa((entry & PTE_ADDR32) | (va & PAGE_MASK));
	return take_leaf(w, at, entry, set, false);
}

static void pass_begin(struct walk *w)
{
	w->all = ~0ull;
	w->any = 0;
}

/* Again, now with setting the bits; other CPUs may change the tables meanwhile. */
static enum gwalk_result walk_and_mark(struct walk *w, uint64_t va)
{
	enum gwalk_result r = GWALK_RETRY;

	for (unsigned i = 0; i < ATTEMPTS && r == GWALK_RETRY; i++) {
		pass_begin(w);
		r = w->m->cr4 & CR4_PAE ? walk_wide(w, va, true, NULL) : walk_32(w, va, true);
	}
	return r;
}

/* The range of the translated address, which is often that of the last table. */
static void find_range(struct walk *w)
{
	const struct addr_range *r = w->range;

	if (!r || w->out->gpa.v - r->base.v >= r->size) {
		r = addrspace_find(w->as, w->out->gpa);
	}
	w->out->range = r;
}

/* False: the top table is not in RAM. */
static inline bool walk_begin(struct walk *w, const struct addrspace *as,
			      const struct gwalk_mode *m, enum gwalk_access access,
			      struct gwalk_page *out)
{
	w->as = as;
	w->m = m;
	w->out = out;
	w->access = access;
	w->user = m->cpl == 3 && !(access & GWALK_IMPLICIT);
	pass_begin(w);
	return ram_range(w, m->cr3 & (m->efer & EFER_LMA ? PTE_ADDR : PTE_ADDR32));
}

enum gwalk_result gwalk(const struct addrspace *as, const struct gwalk_mode *m, gva_t va,
			enum gwalk_access access, struct gwalk_page *out)
{
	struct walk w;
	enum gwalk_result r;

	if (!(m->cr0 & CR0_PG)) {
		out->gpa = gpa((uint32_t)va.v);
		out->range = addrspace_find(as, out->gpa);
		return GWALK_OK;
	}
	if (!walk_begin(&w, as, m, access, out)) {
		return GWALK_NOT_RAM;
	}
	r = m->cr4 & CR4_PAE ? walk_wide(&w, va.v, false, NULL) : walk_32(&w, va.v, false);
	if (r == GWALK_OK && (marks_of_leaf(&w) & ~w.all)) {
		r = walk_and_mark(&w, va.v);
	}
	if (r == GWALK_OK) {
		find_range(&w);
	}
	return r;
}

/*
 * Walks again, now keeping the entries: those that the memo holds are those that were checked. A
 * guest that changes its tables between the two walks gets no memo, or one of the new state.
 */
static void memo_make(struct gwalk_memo *memo, const struct addrspace *as,
		      const struct gwalk_mode *m, gva_t va)
{
	struct gwalk_page page;
	struct walk w;

	if (!walk_begin(&w, as, m, GWALK_FETCH, &page) ||
	    walk_wide(&w, va.v, false, memo) != GWALK_OK || (PTE_A & ~w.all)) {
		memo->count = 0;
		return;
	}
	find_range(&w);
	for (unsigned i = memo->count; i < 4; i++) {
		memo->entry[i] = memo->entry[memo->count - 1];
	}
	memo->page = va.v & ~PAGE_MASK;
	memo->cr0 = m->cr0;
	memo->cr3 = m->cr3;
	memo->cr4 = m->cr4;
	memo->efer = m->efer;
	memo->cpl = m->cpl;
	memo->gpa = gpa(page.gpa.v & ~PAGE_MASK);
	memo->range = page.range;
	memo->ram = page.range && page.range->ptr
			    ? page.range->ptr + (memo->gpa.v - page.range->base.v)
			    : NULL;
}

static __attribute__((noinline)) enum gwalk_result fetch_anew(const struct addrspace *as,
							      const struct gwalk_mode *m, gva_t va,
							      struct gwalk_memo *memo,
							      struct gwalk_page *out)
{
	enum gwalk_result r = gwalk(as, m, va, GWALK_FETCH, out);

	memo->count = 0;
	if (r == GWALK_OK && (m->cr0 & CR0_PG) && (m->efer & EFER_LMA)) {
		memo_make(memo, as, m, va);
	}
	return r;
}

enum gwalk_result gwalk_fetch(const struct addrspace *as, const struct gwalk_mode *m, gva_t va,
			      struct gwalk_memo memos[GWALK_MEMOS], struct gwalk_page *out)
{
	struct gwalk_memo *memo = gwalk_memo_of(memos, va);

	if (__builtin_expect(!GWALK_MEMO_HOLDS(memo, va, m, m->efer, m->cpl), 0)) {
		return fetch_anew(as, m, va, memo, out);
	}
	out->gpa = gpa(memo->gpa.v | (va.v & PAGE_MASK));
	out->range = memo->range;
	return GWALK_OK;
}
