/*
 * Second-level page tables: one builder for EPT, NPT and the I/O page tables of VT-d and AMD-Vi,
 * which differ by a const table only.
 *
 * Called by partition.c and the IOMMU drivers while a guest is built. Where RAM is never changes
 * while a guest runs; passthrough.c maps and unmaps device memory then, one CPU of the partition at
 * a time, and exit.c splits leaves of RAM, any CPU at any time. Entries change by single stores,
 * and a table that is taken out is used again only when no CPU can hold it in its caches.
 *
 * Leaves that code runs from (format.small_code, for the erratum of multihit.h): behind each table
 * that can hold large leaves is a page of twins. The twin of a large leaf of RAM points to a table
 * that maps the same by the next smaller leaves, made together with the leaf. A split is one store
 * of the twin: it needs no memory and no lock, and two CPUs that split one leaf store the same. It
 * takes no permission away and moves nothing, so what CPUs have cached of the leaf stays right for
 * data; for code it was never there (Intel SDM vol. 3, "Guidelines for Use of the INVEPT
 * Instruction"; the fault itself drops what it hit, "Operations that Invalidate Cached Mappings").
 */
#pragma once

#include "hv/addrspace.h"

struct npt_format {
	const char *name;
	unsigned levels;     /* of tables: 3, 4 or 5 */
	uint64_t table;	     /* bits of an entry that points to a table */
	uint64_t leaf;	     /* bits of every leaf: readable, executable */
	uint64_t large;	     /* added for a 2 MiB or 1 GiB leaf */
	uint64_t write;	     /* added for a writable leaf */
	uint64_t write_back; /* memory type of RAM */
	uint64_t uncached;   /* memory type of MMIO */
	uint64_t no_execute; /* added for MMIO; 0 where `leaf` bits are taken away instead */
	uint64_t execute;    /* taken away for MMIO */
	bool gib_leaves;     /* 1 GiB leaves are supported */
	bool small_leaves;   /* only 4 KiB leaves are */
	bool small_code;     /* larger leaves are not executable: npt_split */
	uint64_t next_level; /* AMD-Vi: the field that tells a table's level, 0 in a leaf */
};

struct npt {
	const struct npt_format *format;
	hpa_t root;	 /* table of the highest level */
	unsigned tables; /* pages used */
	/* For a running guest: free tables, and a ring of those that caches may still hold. */
	hpa_t *spare, *retired;
	unsigned spares, reserve;
	unsigned retired_first, retired_next; /* both only grow */
};

/* Maps every range of `as` with the largest leaves that alignment allows. */
bool npt_build(struct npt *n, const struct npt_format *f, const struct addrspace *as,
	       struct refusal *r);

/* Maps one range more. */
bool npt_add(struct npt *n, const struct addr_range *range, struct refusal *r);

/* Boot CPU: keeps `tables` pages for npt_map. At most NPT_RESERVE. */
enum { NPT_RESERVE = 512 };
bool npt_reserve(struct npt *n, unsigned tables, struct refusal *r);
/* Maps a range that is not mapped yet. False: no table is left, and nothing is mapped. */
bool npt_map(struct npt *n, const struct addr_range *range);
/* Takes out leaves that npt_map made for this very range. */
void npt_unmap(struct npt *n, gpa_t base, uint64_t size);
/* All CPUs have flushed since retired_next was `until`. */
void npt_flushed(struct npt *n, unsigned until);

/*
 * Any CPU of the partition: the guest may not fetch at gpa. Splits the large leaf of RAM that is
 * the cause. True: code may run there now; false: it never may.
 */
bool npt_split(struct npt *n, gpa_t gpa);
/* No CPU is in the guest, and each flushes before it enters again: large leaves as at first. */
void npt_join(struct npt *n);

/* The leaf that maps gpa: its entry and its size; 0 when nothing is mapped. For tests and reports.
 */
uint64_t npt_lookup(const struct npt *n, gpa_t gpa, uint64_t *leaf_size);
