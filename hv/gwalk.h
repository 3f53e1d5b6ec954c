/*
 * The guest page walk: linear address to guest-physical address as the guest's CPU would do it
 * (Intel SDM vol. 3 "Paging"; AMD APM vol. 2 "Page Translation and Protection").
 *
 * No paging, 32-bit (PSE, PSE-36 where shown), PAE, 4-level and 5-level. Sets accessed and dirty
 * bits with compare-and-swap, checks U/S, W, NX, SMEP, SMAP and reserved bits. Pure: it needs the
 * mode and the memory only, so it is tested on the host.
 */
#pragma once

#include "hv/addrspace.h"

struct gwalk_mode {
	uint64_t cr0, cr3, cr4, efer;
	uint64_t rflags; /* AC, for SMAP */
	unsigned cpl;
	unsigned maxphyaddr;
	uint32_t pkru;	 /* 0 when CR4.PKE is 0 */
};

enum gwalk_access { GWALK_READ = 0, GWALK_WRITE = BIT(1), GWALK_FETCH = BIT(4),
		    GWALK_IMPLICIT = BIT(8) /* supervisor access whatever the CPL (descriptors) */ };

enum gwalk_result {
	GWALK_OK,
	GWALK_FAULT,   /* *error is the #PF error code; CR2 is the address asked for */
	GWALK_NOT_RAM, /* a table entry is not in RAM: as a machine check; stop the guest */
};

/*
 * Translates one address. On GWALK_OK *out is the gpa, and *page_left (may be NULL) the number of
 * bytes up to the end of its 4 KiB page.
 */
enum gwalk_result gwalk(const struct addrspace *as, const struct gwalk_mode *m, gva_t va,
			enum gwalk_access access, gpa_t *out, uint32_t *error);
