/** A menu that opens at a button, or where the mouse is. */

import { CommandRegistry } from '@lumino/commands';
import { Menu } from '@lumino/widgets';

export interface IMenuItem {
  label: string;
  act: () => void;
}

/** Open a menu; the focus is at `anchor` again when it is closed. */
export function openMenu(items: IMenuItem[], anchor: HTMLElement, at?: { x: number; y: number }): void {
  const commands = new CommandRegistry();
  const menu = new Menu({ commands });
  items.forEach(({ label, act }, position) => {
    commands.addCommand(String(position), { label, execute: act });
    menu.addItem({ command: String(position) });
  });
  menu.aboutToClose.connect(() => anchor.focus());
  const { left, bottom } = anchor.getBoundingClientRect();
  menu.open(at?.x ?? left, at?.y ?? bottom);
  menu.activeIndex = 0;
}
