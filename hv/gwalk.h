/*
 * The guest page walk: linear address to guest-physical address as the guest's CPU would do it
 * (Intel SDM vol. 3 "Paging"; AMD APM vol. 2 "Page Translation and Protection").
 *
 * No paging, 32-bit (PSE, PSE-36), PAE, 4-level and 5-level. Sets accessed and dirty bits with
 * compare-and-swap, checks U/S, W, NX, SMEP, SMAP, protection keys and reserved bits. Pure: it
 * needs the mode and the memory only, so it is tested on the host.
 */
#pragma once

#include "hv/addrspace.h"

struct gwalk_mode {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t rflags; /* AC, for SMAP */
	unsigned cpl;
	unsigned maxphyaddr;
	uint32_t pkru; /* used when CR4.PKE is 1 */
};

struct gwalk_page {
	gpa_t gpa;			/* of the byte asked for; good to the end of its 4 KiB */
	const struct addr_range *range; /* that holds it; NULL: nothing is there */
	uint32_t error;			/* GWALK_FAULT: the #PF error code */
};

enum gwalk_access {
	GWALK_READ = 0,
	GWALK_WRITE = BIT(1),
	GWALK_FETCH = BIT(4),
	GWALK_IMPLICIT = BIT(8), /* supervisor access whatever the CPL (descriptors) */
};

enum gwalk_result {
	GWALK_OK,
	GWALK_FAULT,   /* out->error; CR2 is the address asked for */
	GWALK_NOT_RAM, /* a table entry is not in (writable) RAM: as a machine check; stop the guest
			*/
	GWALK_RETRY,   /* other CPUs keep changing the tables under the walk: let the guest run */
};

/* #PF error codes (Intel SDM vol. 3, "Page-Fault Exceptions"). */
enum pf_error {
	PF_PRESENT = BIT(0),
	PF_WRITE = BIT(1),
	PF_USER = BIT(2),
	PF_RESERVED = BIT(3),
	PF_FETCH = BIT(4),
	PF_KEY = BIT(5),
};

/*
 * Translates one address, which must be canonical. An access that crosses a 4 KiB boundary takes
 * two calls.
 */
enum gwalk_result gwalk(const struct addrspace *as, const struct gwalk_mode *m, gva_t va,
			enum gwalk_access access, struct gwalk_page *out);

/*
 * A fetch from the same page as before mostly reads the same entries with the same values, and then
 * leads to the same page. A memo keeps them, so that a repeated walk only compares; it never trusts
 * what the guest may have changed. All zero is an empty memo. It belongs to one vCPU.
 */
struct gwalk_memo {
	uint64_t page; /* of the linear address */
	uint64_t cr0, cr3, cr4, efer;
	unsigned cpl;
	unsigned count; /* entries; 0: empty */
	struct gwalk_entry {
		const uint64_t *at;
		uint64_t value;
	} entry[5]; /* up to the fourth, what a walk does not have repeats the last one */
	gpa_t gpa;  /* of the page */
	const struct addr_range *range;
	const uint8_t *ram; /* the page, where the range is RAM */
};

enum { GWALK_MEMOS = 8 };

/* The memo that va's page has, if any. */
static inline struct gwalk_memo *gwalk_memo_of(const struct gwalk_memo memos[GWALK_MEMOS], gva_t va)
{
	return (struct gwalk_memo *)&memos[(va.v >> PAGE_SHIFT) % GWALK_MEMOS];
}

static inline bool gwalk_entry_holds(const struct gwalk_entry *e)
{
	return __atomic_load_n(e->at, __ATOMIC_RELAXED) == e->value;
}

/*
 * The same mode, and the same entries as when the memo was made: the same result for va. The mode
 * is in `r`, of any type that has the control registers, in `efer` and in `cpl`.
 */
#define GWALK_MEMO_HOLDS(memo, va, r, efer_, cpl_)                                                 \
	((memo)->count && ((va).v & ~PAGE_MASK) == (memo)->page && (memo)->cr3 == (r)->cr3 &&      \
	 (memo)->cr0 == (r)->cr0 && (memo)->cr4 == (r)->cr4 && (memo)->efer == (efer_) &&          \
	 (memo)->cpl == (cpl_) && gwalk_entries_hold(memo))
static inline bool gwalk_entries_hold(const struct gwalk_memo *memo)
{
	const struct gwalk_entry *e = memo->entry;

	return gwalk_entry_holds(&e[0]) && gwalk_entry_holds(&e[1]) && gwalk_entry_holds(&e[2]) &&
	       gwalk_entry_holds(&e[3]) && (memo->count <= 4 || gwalk_entry_holds(&e[4]));
}

/* gwalk for GWALK_FETCH with the memo of va's page among `memos`. */
enum gwalk_result gwalk_fetch(const struct addrspace *as, const struct gwalk_mode *m, gva_t va,
			      struct gwalk_memo memos[GWALK_MEMOS], struct gwalk_page *out);
