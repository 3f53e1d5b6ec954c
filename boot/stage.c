/*
 * Stage codes: see stage.h. Called by the bring-up in main.c and partitions.c; no state.
 */
#include "boot/stage.h"
#include "arch/x86_64/asm.h"
#include "boot/warm.h"

void boot_stage(enum boot_stage s)
{
	out8(PORT_POST, (uint8_t)s);
	warm_stage(s);
}

const char *boot_stage_words(uint32_t code)
{
	switch (code) {
#define STAGE(name, number, words)                                                                 \
	case number: return words;
		BOOT_STAGES(STAGE)
#undef STAGE
	default: return NULL;
	}
}
