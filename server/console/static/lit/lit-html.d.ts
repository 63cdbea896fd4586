export * from '../../browser/node_modules/lit-html/lit-html.js';
