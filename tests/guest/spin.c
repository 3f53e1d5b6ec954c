/*
 * A guest that never lets go of its CPU by itself: interrupts off, and no instruction that exits.
 */
#include "guest.h"

GUEST("spin");

void guest_main(void)
{
	print("spinning\n");
	__asm__ volatile("cli; 1: jmp 1b");
}
